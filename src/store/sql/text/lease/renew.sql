UPDATE lease SET until = db_now() + $3 WHERE key = 'engine' AND owner = $1 AND epoch = $2 AND until > db_now()
