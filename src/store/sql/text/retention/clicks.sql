DELETE FROM click WHERE (copy_id, seq, link, at) IN (
SELECT r.copy_id, r.seq, r.link, r.at FROM rows($1, copy_id bigint, seq integer, link smallint, at bigint) r)
