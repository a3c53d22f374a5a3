SELECT e.copy_id, e.seq, e.status, e.attempt, e.receipt, e.at, e.kind, e.recipient, e.list, e.item, f.namespace, e.target, e.expires_at, o.payload, o.resend, e.resends, e.cost, e.charged
FROM rows($1, copy_id bigint, seq integer) r
JOIN effect e ON e.copy_id = r.copy_id AND e.seq = r.seq
JOIN copy c ON c.copy_id = e.copy_id
JOIN funnel f ON f.funnel_id = c.funnel_id
LEFT JOIN outbox o ON o.copy_id = e.copy_id AND o.seq = e.seq
ORDER BY e.copy_id, e.seq
--pg FOR NO KEY UPDATE OF e
