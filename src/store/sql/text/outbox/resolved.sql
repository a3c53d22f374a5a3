UPDATE effect SET reason = $2, resends = CASE WHEN effect.resends < 32000 THEN effect.resends + CAST($3 AS bigint) ELSE effect.resends END
FROM rows($1, copy_id bigint, seq integer) r WHERE effect.copy_id = r.copy_id AND effect.seq = r.seq
