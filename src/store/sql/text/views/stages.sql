-- Stages, and why messages in them wait: the engine's own word of it (`CopyState::waiting`), looked for as text first, because most copies wait
-- for nothing and reading their JSON costs more than finding that out.
SELECT role, stage,
--pg CASE WHEN state LIKE '%"w":"%' THEN CAST(state AS json) ->> 'w' END AS waits,
--sqlite CASE WHEN state LIKE '%"w":"%' THEN state ->> 'w' END AS waits,
count(*), CAST(sum(amount) AS bigint)
FROM copy WHERE funnel_id = $1
GROUP BY 1, 2, 3 ORDER BY 1, 2
