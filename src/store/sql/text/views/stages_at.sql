-- The last line of kind `stage` that each copy had by then; money as in views/stages.
SELECT s.role, s.stage, count(*), 
CAST(sum(s.amount / 1000000000) AS bigint), CAST(sum(s.amount % 1000000000) AS bigint) FROM (
SELECT h.role AS role, h.stage AS stage, h.amount AS amount, row_number() OVER (PARTITION BY h.copy_id ORDER BY h.ver DESC, h.n DESC) AS newest
FROM copy c JOIN history h ON h.copy_id = c.copy_id
WHERE c.funnel_id = $1 AND h.kind = 'stage' AND h.at <= $2
) s WHERE s.newest = 1 GROUP BY s.role, s.stage ORDER BY s.role, s.stage
