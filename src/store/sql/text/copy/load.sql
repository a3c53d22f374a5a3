-- Since a database was put back to an earlier copy, no message has a number below 'seq': it may have been given before.
SELECT c.copy_id, f.namespace, f.name, c.client_id, c.shard, c.ver, c.role, c.stage, c.cycle, c.amount, c.due_at,
CASE WHEN c.next_seq < (SELECT q.value FROM counter q WHERE q.name = 'seq') THEN (SELECT q.value FROM counter q WHERE q.name = 'seq')
ELSE c.next_seq END,
c.state, c.connection, d.body, k.root, n.cursor
FROM rows($1, id bigint) r
JOIN copy c ON c.copy_id = r.id
JOIN funnel f ON f.funnel_id = c.funnel_id
JOIN deal d ON d.connection = c.connection AND d.id = c.deal
JOIN client k ON k.client_id = c.client_id
LEFT JOIN connection n ON n.name = c.connection
