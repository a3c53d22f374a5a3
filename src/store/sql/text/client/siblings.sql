-- A copy of a deleted funnel keeps its history but speaks no more.
SELECT c.root, y.copy_id, f.namespace, f.name, y.role, d.state, y.state,
--sqlite d.body ->> 'last_activity_at'
--pg CAST(d.body AS json) ->> 'last_activity_at'
FROM rows($1, root bigint) r
JOIN client c ON c.root = r.root
JOIN copy y ON y.client_id = c.client_id
JOIN funnel f ON f.funnel_id = y.funnel_id
JOIN deal d ON d.connection = y.connection AND d.id = y.deal
WHERE y.role <> 'Archived' AND f.deleted = 0
ORDER BY y.copy_id
