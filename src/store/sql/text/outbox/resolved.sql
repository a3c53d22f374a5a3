UPDATE effect SET reason = $2, resends = effect.resends + CAST($3 AS bigint)
FROM rows($1, copy_id bigint, seq integer) r WHERE effect.copy_id = r.copy_id AND effect.seq = r.seq
