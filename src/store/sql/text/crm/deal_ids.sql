-- A page of ids: a full look over a million deals holds one page, not all of them.
SELECT id FROM deal WHERE connection = $1 AND deleted = 0 AND id > $2 ORDER BY id LIMIT $3
