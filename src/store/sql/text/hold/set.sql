-- What the witness says is why nothing may be released unread: a hold that somebody adds takes nothing of that away.
INSERT INTO hold (scope, namespace, name, since, held_by, reason) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (scope, namespace, name) DO UPDATE SET held_by = excluded.held_by, reason = excluded.reason
WHERE hold.held_by <> 'witness' OR excluded.held_by = 'witness'
