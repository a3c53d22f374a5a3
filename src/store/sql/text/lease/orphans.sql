-- A statement of its own after lease/take: as part of it, it would not see what the old owner committed while we waited.
SELECT o.copy_id, o.seq, o.kind FROM outbox o WHERE o.epoch IS NOT NULL AND o.epoch < $1
--pg FOR UPDATE
