-- The ends of the spans that a reaction is told by.
SELECT CASE WHEN r.seconds IS NULL THEN NULL WHEN r.seconds <= 300 THEN 300 WHEN r.seconds <= 1800 THEN 1800
WHEN r.seconds <= 86400 THEN 86400 ELSE 86401 END AS span, count(*)
FROM copy c JOIN reaction r ON r.copy_id = c.copy_id
WHERE c.funnel_id = $1 AND r.at >= $2
GROUP BY 1
