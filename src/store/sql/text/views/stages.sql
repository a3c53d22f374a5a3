-- Stages of one page of copies, and why messages in them wait: the engine's own word of it (`CopyState::waiting`), looked for as text
-- first, because most copies wait for nothing and reading their JSON costs more than finding that out. In pages, because SQLite sorts what it
-- groups, and a million rows at once would be a hundred megabytes. Money as billions and the rest: a column that holds numbers of cards
-- would run over, and no figure of any funnel be told.
SELECT role, stage, waits, count(*),
CAST(sum(amount / 1000000000) AS bigint), CAST(sum(amount % 1000000000) AS bigint), max(copy_id) FROM (
SELECT copy_id, role, stage, amount,
--pg CASE WHEN state LIKE '%"w":"%' THEN CAST(state AS json) ->> 'w' END AS waits
--sqlite CASE WHEN state LIKE '%"w":"%' THEN state ->> 'w' END AS waits
FROM copy WHERE funnel_id = $1 AND copy_id > $2 ORDER BY copy_id LIMIT $3
) page
GROUP BY role, stage, waits ORDER BY role, stage
