-- The rate counts Warming cycles only; those of the holdout and those never contacted stand apart.
SELECT
coalesce(sum(CASE WHEN y.role = 'Warming' AND y.contacted_at IS NOT NULL AND y.holdout = 0 THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN y.role = 'Warming' AND y.contacted_at IS NOT NULL AND y.holdout = 0 AND y.how = 'Revived' THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN y.holdout = 0 AND y.how = 'Organic' THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN y.holdout = 0 AND y.how = 'Assisted' THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN y.holdout = 1 THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN y.holdout = 1 AND y.how IN ('Revived', 'Organic') THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN y.how = 'Unsubscribed' THEN 1 ELSE 0 END), 0)
FROM copy c JOIN cycle y ON y.copy_id = c.copy_id
WHERE c.funnel_id = $1 AND y.began_at >= $2
