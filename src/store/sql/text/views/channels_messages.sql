SELECT target, status, count(*) FROM effect
WHERE kind = 'message' AND at >= $1
GROUP BY target, status
ORDER BY target, status
