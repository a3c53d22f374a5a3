SELECT id, source, error, at FROM dead_letter ORDER BY id DESC LIMIT $1
