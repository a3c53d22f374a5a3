DELETE FROM outbox WHERE epoch IS NOT NULL AND epoch < $1 AND kind = 'message'
