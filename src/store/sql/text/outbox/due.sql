-- Within a copy, a write-back waits while one before it is under way. What goes to a connection that is busy ($3, with spaces around each)
-- is not offered: it would stand in the way of what is due after it. Nor is a message on hold; of these there may be hundred thousands, so
-- that write-backs have an index of their own, and whoever knows that all messages due before $4 are on hold begins there.
SELECT copy_id, seq, cycle, list, item, recipient, namespace, name, kind, target, payload, attempt, expires_at, connection, deal, due_at FROM (
SELECT * FROM (
SELECT o.due_at, o.copy_id, o.seq, e.cycle, e.list, e.item, e.recipient, f.namespace, f.name, o.kind, o.target, o.payload, e.attempt,
o.expires_at, c.connection, c.deal
FROM outbox o
--sqlite INDEXED BY outbox_writes
JOIN effect e ON e.copy_id = o.copy_id AND e.seq = o.seq
JOIN copy c ON c.copy_id = o.copy_id
JOIN funnel f ON f.funnel_id = c.funnel_id
WHERE o.epoch IS NULL AND o.kind <> 'message' AND o.due_at <= $1 AND o.payload IS NOT NULL
AND $3 NOT LIKE '% ' || o.target || ' %'
AND NOT EXISTS (
SELECT 1 FROM outbox b WHERE b.copy_id = o.copy_id AND b.seq < o.seq AND b.kind <> 'message' AND b.epoch IS NOT NULL)
ORDER BY o.due_at, o.copy_id, o.seq LIMIT $2) w
UNION ALL
SELECT * FROM (
SELECT o.due_at, o.copy_id, o.seq, e.cycle, e.list, e.item, e.recipient, f.namespace, f.name, o.kind, o.target, o.payload, e.attempt,
o.expires_at, c.connection, c.deal
FROM outbox o
--sqlite INDEXED BY outbox_due
JOIN copy c ON c.copy_id = o.copy_id
JOIN funnel f ON f.funnel_id = c.funnel_id
JOIN effect e ON e.copy_id = o.copy_id AND e.seq = o.seq
WHERE o.epoch IS NULL AND o.kind = 'message' AND o.due_at >= $4 AND o.due_at <= $1 AND o.payload IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM hold h WHERE h.scope = 'all')
AND NOT EXISTS (
SELECT 1 FROM hold h WHERE (h.scope = 'channel' AND h.name = o.target)
OR (h.scope = 'funnel' AND h.namespace = f.namespace AND h.name = f.name))
ORDER BY o.due_at, o.copy_id, o.seq LIMIT $2) w
) x ORDER BY due_at, copy_id, seq LIMIT $2
