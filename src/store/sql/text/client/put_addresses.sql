INSERT INTO client_address (connection, contact, hash, client_id, address, rank)
SELECT $1, r.contact, r.hash, r.client_id, r.address, r.rank
FROM rows($2, contact text, hash text, client_id bigint, address text, rank smallint) r WHERE true
ON CONFLICT (connection, contact, hash) DO NOTHING
