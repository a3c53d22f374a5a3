SELECT copy_id, seq FROM effect WHERE kind = 'message' AND status = 2 ORDER BY at, copy_id, seq LIMIT $1
