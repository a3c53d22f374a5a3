INSERT INTO revision (funnel_id, number, published_at, deleted, hash, snapshot) VALUES ($1, $2, $3, $4, $5, $6)
