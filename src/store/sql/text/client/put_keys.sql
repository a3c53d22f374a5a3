INSERT INTO client_key (key, client_id) SELECT r.key, r.client_id FROM rows($1, key text, client_id bigint) r WHERE true
ON CONFLICT (key) DO NOTHING
