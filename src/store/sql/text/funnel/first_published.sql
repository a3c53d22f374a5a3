SELECT first_published FROM funnel WHERE namespace = $1 AND name = $2
