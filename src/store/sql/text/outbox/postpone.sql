-- What comes after a write-back that is tried again waits with it.
UPDATE outbox SET due_at = r.due_at FROM rows($1, copy_id bigint, seq integer, due_at bigint) r
WHERE outbox.copy_id = r.copy_id AND outbox.seq > r.seq AND outbox.kind <> 'message' AND outbox.epoch IS NULL
AND outbox.due_at < r.due_at
