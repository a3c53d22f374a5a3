SELECT target, count(*) FROM effect WHERE kind = 'message' AND status = 2 GROUP BY target ORDER BY target
