UPDATE funnel SET deleted = 0, first_published = coalesce(first_published, $2) WHERE funnel_id = $1
