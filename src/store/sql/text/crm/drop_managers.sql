DELETE FROM manager WHERE (connection, id) IN (SELECT r.connection, r.id FROM rows($1, connection text, id text) r)
