SELECT count(*), min(due_at) FROM copy WHERE due_at IS NOT NULL AND due_at <= $2 AND funnel_id = $1
