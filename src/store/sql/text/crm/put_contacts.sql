INSERT INTO contact (connection, id, client_id, body)
SELECT $1, r.id, r.client_id, r.body FROM rows($2, id text, client_id bigint, body text) r WHERE true
ON CONFLICT (connection, id) DO UPDATE SET client_id = excluded.client_id, body = excluded.body
