-- Messages on hold or unclear wait for a person, a write-back behind one that is under way waits for that one: neither for a moment.
SELECT min(t) FROM (
SELECT min(due_at) AS t FROM copy WHERE due_at IS NOT NULL
UNION ALL SELECT min(ready_at) FROM inbox
UNION ALL SELECT * FROM (SELECT o.due_at FROM outbox o
WHERE o.epoch IS NULL AND o.due_at < 32503680000000 AND o.payload IS NOT NULL AND (o.kind = 'message' OR NOT EXISTS (
SELECT 1 FROM outbox b WHERE b.copy_id = o.copy_id AND b.seq < o.seq AND b.kind <> 'message' AND b.epoch IS NOT NULL))
AND (o.kind <> 'message' OR NOT EXISTS (
SELECT 1 FROM hold h JOIN copy y ON y.copy_id = o.copy_id JOIN funnel f ON f.funnel_id = y.funnel_id
WHERE h.scope = 'all' OR (h.scope = 'channel' AND h.name = o.target)
OR (h.scope = 'funnel' AND h.namespace = f.namespace AND h.name = f.name)))
ORDER BY o.due_at LIMIT 1) w
) x
