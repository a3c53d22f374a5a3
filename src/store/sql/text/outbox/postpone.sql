-- What comes after a write-back that is tried again waits with it: what is due first comes first.
UPDATE outbox SET due_at = x.due_at FROM (
SELECT o.copy_id, o.seq, max(r.due_at) AS due_at FROM rows($1, copy_id bigint, seq integer, due_at bigint) r
JOIN outbox o ON o.copy_id = r.copy_id AND o.seq > r.seq AND o.kind <> 'message' AND o.due_at < r.due_at
GROUP BY o.copy_id, o.seq) x
WHERE outbox.copy_id = x.copy_id AND outbox.seq = x.seq
