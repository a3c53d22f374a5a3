SELECT e.copy_id, e.cycle, e.list, e.item, e.recipient, e.seq, e.status, e.at, e.variant, e.clicked_at, e.reason
FROM rows($1, id bigint) r JOIN effect e ON e.copy_id = r.id
ORDER BY e.copy_id, e.seq
