-- A statement of its own after lease/take: as part of it, it would not see what the old owner committed while we waited.
-- Also what waits without its text: held when it was written, and the text died with its process.
SELECT o.copy_id, o.seq, o.kind, o.epoch, CASE WHEN o.payload IS NULL THEN 0 ELSE o.resend END FROM outbox o
WHERE (o.epoch IS NOT NULL AND o.epoch < $1) OR (o.epoch IS NULL AND o.payload IS NULL)
-- In the order in which outcomes lock them (outbox/lock): those of the former owner may come in this moment.
ORDER BY o.copy_id, o.seq
--pg FOR UPDATE
