-- The lower bound skips the dead versions that an old snapshot keeps from being cleaned away.
SELECT copy_id, due_at FROM copy WHERE due_at IS NOT NULL AND due_at <= $1 AND due_at >= $2 ORDER BY due_at, copy_id LIMIT $3
