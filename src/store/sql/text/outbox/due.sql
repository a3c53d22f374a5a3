-- Within a copy, a write-back waits while one before it is under way. A message on hold is not offered, nor what goes to a connection that
-- is busy ($3, with spaces around each): it would stand in the way of what is due after it.
SELECT o.copy_id, o.seq, e.cycle, e.list, e.item, e.recipient, f.namespace, f.name, o.kind, o.target, o.payload, e.attempt, o.expires_at,
c.connection, c.deal
FROM outbox o
JOIN effect e ON e.copy_id = o.copy_id AND e.seq = o.seq
JOIN copy c ON c.copy_id = o.copy_id
JOIN funnel f ON f.funnel_id = c.funnel_id
WHERE o.epoch IS NULL AND o.due_at <= $1 AND o.payload IS NOT NULL
AND (o.kind = 'message' OR $3 NOT LIKE '% ' || o.target || ' %')
AND (o.kind = 'message' OR NOT EXISTS (
SELECT 1 FROM outbox b WHERE b.copy_id = o.copy_id AND b.seq < o.seq AND b.kind <> 'message' AND b.epoch IS NOT NULL))
AND (o.kind <> 'message' OR NOT EXISTS (
SELECT 1 FROM hold h WHERE h.scope = 'all' OR (h.scope = 'channel' AND h.name = o.target)
OR (h.scope = 'funnel' AND h.namespace = f.namespace AND h.name = f.name)))
ORDER BY o.due_at, o.copy_id, o.seq LIMIT $2
