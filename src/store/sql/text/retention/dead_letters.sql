DELETE FROM dead_letter WHERE id IN (SELECT d.id FROM dead_letter d WHERE d.at < $1 LIMIT $2)
