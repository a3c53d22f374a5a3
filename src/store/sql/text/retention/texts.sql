-- Unless somebody had one sent again meanwhile.
-- "+ 0": by its key, not by the index of what is due.
DELETE FROM outbox WHERE kind = 'message' AND due_at + 0 >= 32503680000000
AND (copy_id, seq) IN (SELECT r.copy_id, r.seq FROM rows($1, copy_id bigint, seq integer) r)
