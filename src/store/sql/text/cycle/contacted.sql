UPDATE cycle SET contacted_at = coalesce(contacted_at, r.at) FROM rows($1, copy_id bigint, cycle integer, at bigint) r
WHERE cycle.copy_id = r.copy_id AND cycle.cycle = r.cycle
