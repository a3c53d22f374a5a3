SELECT at, kind, body FROM history WHERE copy_id = $1 ORDER BY ver, n
