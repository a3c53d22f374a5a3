-- Whether a client who has come back is the first: by cycles, because they stay when the deal leaves Revived, and of any role, because
-- a client may come back from Stalled and from the holdout, too.
SELECT count(*) FROM copy c JOIN cycle y ON y.copy_id = c.copy_id
WHERE c.funnel_id = $1 AND y.how IN ('Revived', 'Organic') AND NOT (c.role = 'Revived' AND y.cycle = c.cycle)
