SELECT id FROM deal WHERE connection = $1 AND deleted = 0 ORDER BY id
