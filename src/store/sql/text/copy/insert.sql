INSERT INTO copy (copy_id, funnel_id, client_id, ver, due_at, amount, backfill_at, cycle, next_seq, shard, role, stage, connection, deal, state)
SELECT r.id, r.funnel_id, d.client_id, 1, r.due_at, r.amount,
CASE WHEN r.role = 'Backfill' THEN coalesce(d.stage_changed_at, -1) END,
r.cycle, r.next_seq, c.shard, r.role, r.stage, r.connection, r.deal, r.state
FROM rows($1, id bigint, funnel_id bigint, due_at bigint, amount bigint, cycle integer, next_seq integer, role text, stage text, connection text, deal text, state text) r
JOIN deal d ON d.connection = r.connection AND d.id = r.deal
JOIN client c ON c.client_id = d.client_id
WHERE true
ON CONFLICT (connection, deal, funnel_id) DO NOTHING
RETURNING copy_id
