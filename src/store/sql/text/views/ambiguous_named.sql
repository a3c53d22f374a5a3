-- $2: the channel, or empty: any.
SELECT e.copy_id, e.seq, f.namespace, f.name, c.deal, e.list, e.item, e.target, e.at, e.reason, CASE WHEN o.payload IS NULL THEN 0 ELSE 1 END
FROM rows($1, copy_id bigint, seq integer) r
JOIN effect e ON e.copy_id = r.copy_id AND e.seq = r.seq
JOIN copy c ON c.copy_id = e.copy_id
JOIN funnel f ON f.funnel_id = c.funnel_id
LEFT JOIN outbox o ON o.copy_id = e.copy_id AND o.seq = e.seq
WHERE e.kind = 'message' AND e.status = 2 AND ($2 = '' OR e.target = $2)
ORDER BY e.at, e.copy_id, e.seq
