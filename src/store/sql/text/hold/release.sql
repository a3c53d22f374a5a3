DELETE FROM hold WHERE scope = $1 AND namespace = $2 AND name = $3
