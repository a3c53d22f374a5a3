-- Write-backs that wait, apart from messages: of those a hold may keep hundred thousands waiting, and a write-back is found behind them.
CREATE INDEX outbox_writes ON outbox (due_at, copy_id, seq) WHERE epoch IS NULL AND kind <> 'message';
-- The version before counted each look at an event, also those that its process survived; from now on the number says how often one died.
UPDATE inbox SET attempts = 0;
