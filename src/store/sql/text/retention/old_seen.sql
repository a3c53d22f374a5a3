SELECT source, id FROM seen WHERE at < $1 LIMIT $2
