UPDATE effect SET status = r.status, reason = r.reason
FROM rows($1, copy_id bigint, seq integer, status smallint, reason text) r
WHERE effect.copy_id = r.copy_id AND effect.seq = r.seq AND effect.status IN (0, 1)
