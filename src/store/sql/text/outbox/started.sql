UPDATE effect SET status = 1, attempt = attempt + 1 FROM rows($1, copy_id bigint, seq integer) r
WHERE effect.copy_id = r.copy_id AND effect.seq = r.seq
