-- Fresh losses first: they remember us best.
SELECT copy_id FROM copy WHERE funnel_id = $1 AND backfill_at IS NOT NULL ORDER BY backfill_at DESC, copy_id LIMIT $2
