-- The others of each copy's client: most clients have one deal, whose row is loaded anyhow.
-- A copy of a deleted funnel keeps its history but speaks no more. The deal's body is read here and not taken apart in SQL: PostgreSQL
-- refuses JSON that holds an escaped NUL.
SELECT c.root, y.copy_id, f.namespace, f.name, f.brand, f.policy, f.priority, y.role, d.state, y.state, d.body
FROM rows($1, root bigint, copy_id bigint) r
JOIN client c ON c.root = r.root
JOIN copy y ON y.client_id = c.client_id AND y.copy_id <> r.copy_id
JOIN funnel f ON f.funnel_id = y.funnel_id
JOIN deal d ON d.connection = y.connection AND d.id = y.deal
WHERE y.role <> 'Archived' AND f.deleted = 0
ORDER BY y.copy_id
