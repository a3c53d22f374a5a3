DELETE FROM outbox WHERE copy_id = $1 AND seq = $2 RETURNING payload
