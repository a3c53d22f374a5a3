-- Set aside: the engine looks at it no more until something happens to it.
UPDATE copy SET due_at = NULL, ver = ver + 1 WHERE copy_id = $1
