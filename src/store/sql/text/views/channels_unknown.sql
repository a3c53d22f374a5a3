SELECT target, sum(CASE WHEN status = 2 THEN 1 ELSE 0 END), CAST(sum(resends) AS bigint) FROM effect
WHERE kind = 'message' AND (status = 2 OR resends > 0) GROUP BY target ORDER BY target
