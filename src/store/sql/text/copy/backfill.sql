-- Fresh losses first: they remember us best. What was lost before $2 can be admitted no more: it stays, counted, and is not read again.
-- 0 comes from an earlier version, for a deal without a date and for each copy that it had updated: of those the deal knows the date.
SELECT x.copy_id FROM (
SELECT * FROM (SELECT copy_id, backfill_at FROM copy
WHERE funnel_id = $1 AND backfill_at <> 0 AND backfill_at >= $2
ORDER BY backfill_at DESC, copy_id LIMIT $3) w
UNION ALL
SELECT c.copy_id, d.stage_changed_at FROM copy c JOIN deal d ON d.connection = c.connection AND d.id = c.deal
WHERE c.funnel_id = $1 AND c.backfill_at = 0 AND d.stage_changed_at >= $2
) x ORDER BY x.backfill_at DESC, x.copy_id LIMIT $3
