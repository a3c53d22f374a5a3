UPDATE funnel SET deleted = 0, first_published = coalesce(first_published, $2), brand = $3, policy = $4, priority = $5
WHERE funnel_id = $1
