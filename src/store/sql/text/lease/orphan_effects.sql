UPDATE effect SET status = r.status, reason = r.reason,
resends = CASE WHEN effect.resends < 32000 THEN effect.resends + coalesce(r.resends, 0) ELSE effect.resends END
FROM rows($1, copy_id bigint, seq integer, status smallint, reason text, resends smallint) r
WHERE effect.copy_id = r.copy_id AND effect.seq = r.seq AND effect.status IN (0, 1)
