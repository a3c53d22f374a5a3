-- What waits for a person's word is not waiting for its channel.
SELECT target, count(*) FROM outbox WHERE kind = 'message' AND due_at < 32503680000000 GROUP BY target ORDER BY target
