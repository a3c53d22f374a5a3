INSERT INTO click (copy_id, seq, link, at, verdict, why)
SELECT r.copy_id, r.seq, r.link, r.at, r.verdict, r.why
FROM rows($1, copy_id bigint, seq integer, link smallint, at bigint, verdict text, why text) r WHERE true
ON CONFLICT (copy_id, seq, link, at) DO NOTHING
