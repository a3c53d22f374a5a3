INSERT INTO cycle (copy_id, cycle, began_at, holdout, role)
SELECT r.copy_id, r.cycle, r.at, r.holdout, r.role
FROM rows($1, copy_id bigint, cycle integer, at bigint, holdout smallint, role text) r WHERE true
ON CONFLICT (copy_id, cycle) DO NOTHING
