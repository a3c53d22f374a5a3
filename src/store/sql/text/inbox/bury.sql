INSERT INTO dead_letter (source, row_id, at, error, body) VALUES ($1, $2, $3, $4, $5)
