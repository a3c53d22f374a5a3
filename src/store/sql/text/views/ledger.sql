SELECT seq, at, kind, status, list, item, medium, target, variant, reason, resends FROM effect WHERE copy_id = $1 ORDER BY seq
