-- A page of ids, as of deals.
SELECT id FROM contact WHERE connection = $1 AND id > $2 ORDER BY id LIMIT $3
