SELECT e.kind, e.medium, e.status, e.reason, count(*)
FROM copy c JOIN effect e ON e.copy_id = c.copy_id
WHERE c.funnel_id = $1 AND e.at >= $2
GROUP BY e.kind, e.medium, e.status, e.reason
ORDER BY e.kind, e.medium, e.status, e.reason
