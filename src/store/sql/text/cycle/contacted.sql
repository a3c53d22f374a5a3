-- Who stalled before they were lost is warmed in the same passage.
UPDATE cycle SET contacted_at = coalesce(contacted_at, r.at), role = CASE WHEN r.role = 'Warming' THEN r.role ELSE cycle.role END
FROM rows($1, copy_id bigint, cycle integer, at bigint, role text) r
WHERE cycle.copy_id = r.copy_id AND cycle.cycle = r.cycle
