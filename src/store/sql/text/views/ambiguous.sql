-- $2: the channel, or empty: any. $3, $4, $5: the last one of the page before.
SELECT e.copy_id, e.seq, f.namespace, f.name, c.deal, e.list, e.item, e.target, e.at, e.reason, CASE WHEN o.payload IS NULL THEN 0 ELSE 1 END
FROM effect e
JOIN copy c ON c.copy_id = e.copy_id
JOIN funnel f ON f.funnel_id = c.funnel_id
LEFT JOIN outbox o ON o.copy_id = e.copy_id AND o.seq = e.seq
WHERE e.kind = 'message' AND e.status = 2 AND ($2 = '' OR e.target = $2) AND (e.at, e.copy_id, e.seq) > ($3, $4, $5)
ORDER BY e.at, e.copy_id, e.seq LIMIT $1
