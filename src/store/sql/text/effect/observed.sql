INSERT INTO observed (copy_id, cycle, list, item, recipient, at, medium)
SELECT r.copy_id, r.cycle, r.list, r.item, r.recipient, CAST($2 AS bigint), r.medium
FROM rows($1, copy_id bigint, cycle integer, list text, item text, recipient text, medium text) r WHERE true
ON CONFLICT (copy_id, cycle, list, item, recipient) DO NOTHING
