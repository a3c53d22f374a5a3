-- Whoever opened a link of it has the message: its text, kept for the person who would say what became of it, is of no use any more.
-- Before the effects, as outbox/lock has it. CASE keeps PostgreSQL to the keys: it is a condition of the pair, not of the table.
-- The row itself is asked once more, for it may have changed while its lock was waited for.
DELETE FROM outbox WHERE CASE WHEN kind = 'message' THEN due_at ELSE 0 END >= 32503680000000
AND (copy_id, seq) IN (
SELECT o.copy_id, o.seq FROM rows($1, copy_id bigint, seq integer) r
JOIN outbox o ON o.copy_id = r.copy_id AND o.seq = r.seq
AND CASE WHEN r.seq >= 0 AND o.kind = 'message' THEN o.due_at ELSE 0 END >= 32503680000000)
