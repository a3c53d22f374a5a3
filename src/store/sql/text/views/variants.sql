-- What came of the messages since $2 whose item has variants: who clicked, and whose passage ended in a revival. By when they were sent, so
-- that variants of an item are compared over the same time. Sent is what was accepted or delivered.
SELECT e.list, e.item, e.variant, count(*),
coalesce(sum(CASE WHEN e.clicked_at IS NOT NULL THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN y.how = 'Revived' THEN 1 ELSE 0 END), 0)
FROM copy c JOIN effect e ON e.copy_id = c.copy_id
LEFT JOIN cycle y ON y.copy_id = e.copy_id AND y.cycle = e.cycle
WHERE c.funnel_id = $1 AND e.at >= $2 AND e.kind = 'message' AND e.variant IS NOT NULL AND e.status IN (6, 7)
GROUP BY e.list, e.item, e.variant
