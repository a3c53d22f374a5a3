INSERT INTO hold (scope, namespace, name, since, held_by, reason) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (scope, namespace, name) DO UPDATE SET held_by = excluded.held_by, reason = excluded.reason
