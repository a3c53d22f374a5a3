DELETE FROM outbox WHERE (copy_id, seq) IN (SELECT r.copy_id, r.seq FROM rows($1, copy_id bigint, seq integer) r)
