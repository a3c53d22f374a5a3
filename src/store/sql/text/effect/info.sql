-- The client: whom it was written to, by the address. Its deal may belong to somebody else by now, who must not be taken for the one that
-- holds the message in hand. What leads to nobody (a write-back) is of the copy's client.
SELECT e.copy_id, e.seq, e.cycle, e.list, e.item, e.recipient, f.namespace, f.name, coalesce(w.root, k.root), e.brand, e.medium, e.purpose, e.status, e.at, e.links, e.target
FROM rows($1, copy_id bigint, seq integer) r
JOIN effect e ON e.copy_id = r.copy_id AND e.seq = r.seq
JOIN copy c ON c.copy_id = e.copy_id
JOIN funnel f ON f.funnel_id = c.funnel_id
JOIN client k ON k.client_id = c.client_id
LEFT JOIN client_key a ON a.key = 'address:' || e.recipient
LEFT JOIN client w ON w.client_id = a.client_id
