SELECT link, at FROM click WHERE copy_id = $1 AND seq = $2 ORDER BY at, link
