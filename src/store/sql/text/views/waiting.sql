-- Those whom backfill may still admit: who was lost before $2 stays where they are. 0: see copy/backfill.
SELECT count(*) FROM copy c LEFT JOIN deal d ON c.backfill_at = 0 AND d.connection = c.connection AND d.id = c.deal
WHERE c.funnel_id = $1 AND c.backfill_at IS NOT NULL AND (c.backfill_at <> 0 AND c.backfill_at >= $2 OR d.stage_changed_at >= $2)
