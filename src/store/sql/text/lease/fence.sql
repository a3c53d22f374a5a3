-- Whether the time is over does not matter as long as nobody took it: the row lock and the epoch are what keep two owners apart.
-- KEY SHARE lets the renewal pass and makes a take-over wait for us.
SELECT 1 FROM lease WHERE key = 'engine' AND owner = $1 AND epoch = $2
--pg FOR KEY SHARE
