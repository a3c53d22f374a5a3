SELECT copy_id FROM copy WHERE funnel_id = $1 AND copy_id > $2 ORDER BY copy_id LIMIT $3
