-- One that is there already is the key of an address that nobody had any more: it leads to whose it is now.
INSERT INTO client_key (key, client_id) SELECT r.key, r.client_id FROM rows($1, key text, client_id bigint) r WHERE true
ON CONFLICT (key) DO UPDATE SET client_id = excluded.client_id
