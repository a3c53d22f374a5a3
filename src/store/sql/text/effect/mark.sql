UPDATE effect SET status = r.status, receipt = r.receipt, resends = r.resends, at = r.at, reason = coalesce(r.reason, effect.reason),
provider = coalesce(r.provider, effect.provider), provider_id = coalesce(r.provider_id, effect.provider_id)
FROM rows($1, copy_id bigint, seq integer, status smallint, receipt smallint, at bigint, reason text, provider text, provider_id text, resends smallint) r
WHERE effect.copy_id = r.copy_id AND effect.seq = r.seq
