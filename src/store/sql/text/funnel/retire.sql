UPDATE funnel SET deleted = 1 WHERE funnel_id = $1
