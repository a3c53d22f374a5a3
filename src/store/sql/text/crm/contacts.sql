SELECT c.connection, c.id, c.body FROM rows($1, connection text, id text) r
JOIN contact c ON c.connection = r.connection AND c.id = r.id
