UPDATE lease SET until = 0 WHERE key = 'engine' AND owner = $1 AND epoch = $2
