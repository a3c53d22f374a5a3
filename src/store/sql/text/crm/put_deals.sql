-- An older page never overwrites a newer state.
INSERT INTO deal (connection, id, hash, updated_at, stage_changed_at, deleted, state, client_id, body)
SELECT $1, r.id, r.hash, r.updated_at, r.stage_changed_at, r.deleted, r.state, r.client_id, r.body
FROM rows($2, id text, hash bigint, updated_at bigint, stage_changed_at bigint, deleted smallint, state text, client_id bigint, body text) r
WHERE true
ON CONFLICT (connection, id) DO UPDATE SET hash = excluded.hash, updated_at = excluded.updated_at,
stage_changed_at = excluded.stage_changed_at, deleted = excluded.deleted, state = excluded.state,
client_id = excluded.client_id, body = excluded.body
WHERE deal.updated_at IS NULL OR excluded.updated_at IS NULL OR excluded.updated_at >= deal.updated_at
