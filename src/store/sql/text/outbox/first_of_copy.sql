SELECT copy_id, seq, payload FROM outbox WHERE copy_id = $1 ORDER BY seq LIMIT 1
