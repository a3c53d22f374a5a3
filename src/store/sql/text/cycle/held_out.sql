UPDATE cycle SET holdout = 1 FROM rows($1, copy_id bigint, cycle integer) r
WHERE cycle.copy_id = r.copy_id AND cycle.cycle = r.cycle
