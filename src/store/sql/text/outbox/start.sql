-- What waits and is not on hold. (Whether its time has come is the caller's to know.)
-- coalesce: with IS NULL PostgreSQL began with the index of all that waits, not with the batch.
UPDATE outbox SET epoch = $2
FROM rows($1, copy_id bigint, seq integer) r
JOIN copy c ON c.copy_id = r.copy_id
JOIN funnel f ON f.funnel_id = c.funnel_id
WHERE outbox.copy_id = r.copy_id AND outbox.seq = r.seq AND coalesce(outbox.epoch, -1) = -1 AND outbox.payload IS NOT NULL
AND (outbox.kind <> 'message' OR NOT EXISTS (
SELECT 1 FROM hold h WHERE h.scope = 'all' OR (h.scope = 'channel' AND h.name = outbox.target)
OR (h.scope = 'funnel' AND h.namespace = f.namespace AND h.name = f.name)))
RETURNING outbox.copy_id, outbox.seq, outbox.kind
