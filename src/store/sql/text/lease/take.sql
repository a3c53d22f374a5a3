-- The owner may take its own lease again (epoch + 1) after a COMMIT whose reply was lost.
UPDATE lease SET epoch = epoch + 1, owner = $1, until = db_now() + $2
WHERE key = 'engine' AND (until < db_now() OR owner = $1)
RETURNING epoch
