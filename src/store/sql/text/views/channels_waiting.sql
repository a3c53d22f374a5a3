SELECT target, count(*) FROM outbox WHERE kind = 'message' GROUP BY target ORDER BY target
