-- Deals that left their CRM and of which nothing has been heard or done since $1. What begins with "gone" is what remains of one.
SELECT d.connection, d.id, d.body FROM deal d
WHERE d.deleted = 1 AND d.body NOT LIKE '{"gone"%'
AND NOT EXISTS (SELECT 1 FROM copy c JOIN history h ON h.copy_id = c.copy_id WHERE c.connection = d.connection AND c.deal = d.id AND h.at >= $1)
AND NOT EXISTS (SELECT 1 FROM copy c JOIN effect e ON e.copy_id = c.copy_id WHERE c.connection = d.connection AND c.deal = d.id AND e.at >= $1)
ORDER BY d.connection, d.id LIMIT $2
