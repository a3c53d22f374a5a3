-- Write-backs are done at least once: back to waiting, their time has come already.
UPDATE outbox SET epoch = NULL WHERE epoch IS NOT NULL AND epoch < $1 AND kind <> 'message'
