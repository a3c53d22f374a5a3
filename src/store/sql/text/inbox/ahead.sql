SELECT id, event, received_at, attempts FROM inbox WHERE ready_at > $1 AND ready_at <= $2 ORDER BY ready_at, id LIMIT $3
