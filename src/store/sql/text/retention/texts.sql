-- Unless somebody had one sent again meanwhile.
DELETE FROM outbox WHERE kind = 'message' AND due_at >= 32503680000000
AND (copy_id, seq) IN (SELECT r.copy_id, r.seq FROM rows($1, copy_id bigint, seq integer) r)
