SELECT role, stage, count(*), CAST(sum(amount) AS bigint) FROM copy WHERE funnel_id = $1 GROUP BY role, stage ORDER BY role, stage
