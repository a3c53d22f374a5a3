SELECT count(*) FROM copy WHERE funnel_id = $1 AND backfill_at IS NOT NULL
