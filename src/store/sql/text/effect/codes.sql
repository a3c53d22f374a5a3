INSERT INTO code (hash, copy_id, seq, link, expires_at)
SELECT r.hash, r.copy_id, r.seq, r.link, CAST($2 AS bigint) FROM rows($1, hash text, copy_id bigint, seq integer, link smallint) r WHERE true
ON CONFLICT (hash) DO NOTHING
