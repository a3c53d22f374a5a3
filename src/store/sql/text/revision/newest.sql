SELECT number, hash, deleted, snapshot FROM revision WHERE funnel_id = $1 ORDER BY number DESC LIMIT 1
