-- What happened since $2, by when it happened and not by when its passage began: a list may go on for half a year. The rate counts
-- Warming cycles only, those first contacted since then and those that ended since then; the holdout and who was never contacted stand
-- apart. The last two are all who were not held out, counted as the holdout is: only such groups can be compared.
SELECT
coalesce(sum(CASE WHEN y.contacted = 1 AND (y.contacted_at >= $2 OR y.ended = 1) THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN y.contacted = 1 AND y.ended = 1 AND y.how = 'Revived' THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN y.holdout = 0 AND y.ended = 1 AND y.how = 'Organic' THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN y.holdout = 0 AND y.ended = 1 AND y.how = 'Assisted' THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN y.holdout = 1 AND (y.began_at >= $2 OR y.ended = 1) THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN y.holdout = 1 AND y.ended = 1 AND y.how IN ('Revived', 'Organic') THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN y.ended = 1 AND y.how = 'Unsubscribed' THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN y.holdout = 0 AND (y.began_at >= $2 OR y.ended = 1) THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN y.holdout = 0 AND y.ended = 1 AND y.how IN ('Revived', 'Organic') THEN 1 ELSE 0 END), 0)
FROM (
  SELECT y.began_at, y.contacted_at, y.holdout, y.how,
  CASE WHEN y.role = 'Warming' AND y.contacted_at IS NOT NULL AND y.holdout = 0 THEN 1 ELSE 0 END AS contacted,
  CASE WHEN y.ended_at >= $2 THEN 1 ELSE 0 END AS ended
  FROM copy c JOIN cycle y ON y.copy_id = c.copy_id
  WHERE c.funnel_id = $1
) y
