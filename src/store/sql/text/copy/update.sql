-- Only while it is still the version that was decided on, with numbers that may still be given ('seq', copy/load). Who comes to wait for backfill waits by the loss of its deal, however it came there.
UPDATE copy SET ver = r.ver + 1, due_at = r.due_at, amount = r.amount,
backfill_at = CASE WHEN r.role = 'Backfill' THEN coalesce((SELECT d.stage_changed_at FROM deal d WHERE d.connection = copy.connection AND d.id = copy.deal), -1) END,
cycle = r.cycle, next_seq = r.next_seq, role = r.role, stage = r.stage, state = r.state
FROM rows($1, id bigint, ver bigint, due_at bigint, amount bigint, cycle integer, next_seq integer, role text, stage text, state text) r
WHERE copy.copy_id = r.id AND copy.ver = r.ver
AND r.next_seq >= coalesce((SELECT q.value FROM counter q WHERE q.name = 'seq'), 0)
RETURNING copy.copy_id
