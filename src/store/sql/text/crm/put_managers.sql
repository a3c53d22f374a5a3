INSERT INTO manager (connection, id, body)
SELECT $1, r.id, r.body FROM rows($2, id text, body text) r WHERE true
ON CONFLICT (connection, id) DO UPDATE SET body = excluded.body
