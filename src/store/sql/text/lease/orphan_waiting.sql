-- Write-backs are done at least once, and so are messages of channels that resend: back to waiting, their time has come already.
UPDATE outbox SET epoch = NULL WHERE epoch IS NOT NULL AND epoch < $1 AND (kind <> 'message' OR (resend = 1 AND payload IS NOT NULL))
