SELECT c.copy_id FROM copy c JOIN funnel f ON f.funnel_id = c.funnel_id
WHERE f.namespace = $1 AND f.name = $2 AND c.deal = $3 ORDER BY c.copy_id
