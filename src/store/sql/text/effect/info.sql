SELECT e.cycle, e.list, e.item, e.recipient, f.namespace, f.name, k.root, e.brand, e.medium, e.purpose, e.status, e.at, e.links
FROM effect e JOIN copy c ON c.copy_id = e.copy_id
JOIN funnel f ON f.funnel_id = c.funnel_id
JOIN client k ON k.client_id = c.client_id
WHERE e.copy_id = $1 AND e.seq = $2
