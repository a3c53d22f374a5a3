INSERT INTO history (copy_id, ver, n, at, kind, role, stage, amount, body)
SELECT r.copy_id, r.ver, r.n, CAST($2 AS bigint), r.kind, r.role, r.stage, r.amount, r.body
FROM rows($1, copy_id bigint, ver bigint, n integer, kind text, role text, stage text, amount bigint, body text) r
WHERE true
ON CONFLICT (copy_id, ver, n) DO NOTHING
