SELECT id FROM dead_letter WHERE at < $1 LIMIT $2
