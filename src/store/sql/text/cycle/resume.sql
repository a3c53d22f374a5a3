-- A deal that the CRM did not show is back as it was: what ended with its disappearance goes on.
UPDATE cycle SET ended_at = NULL, how = NULL FROM rows($1, copy_id bigint, cycle integer) r
WHERE cycle.copy_id = r.copy_id AND cycle.cycle = r.cycle
