UPDATE cycle SET ended_at = r.at, how = r.how FROM rows($1, copy_id bigint, cycle integer, at bigint, how text) r
WHERE cycle.copy_id = r.copy_id AND cycle.cycle = r.cycle AND cycle.ended_at IS NULL
