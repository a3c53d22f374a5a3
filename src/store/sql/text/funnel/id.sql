SELECT funnel_id FROM funnel WHERE namespace = $1 AND name = $2
