SELECT m.connection, m.id, m.body FROM rows($1, connection text, id text) r
JOIN manager m ON m.connection = r.connection AND m.id = r.id
