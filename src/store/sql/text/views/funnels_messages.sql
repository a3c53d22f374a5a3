-- Of all funnels at once: one look at the ledger for each midnight that policies share, and not one for each funnel.
SELECT f.namespace, f.name, e.status, count(*)
FROM funnel f JOIN copy c ON c.funnel_id = f.funnel_id JOIN effect e ON e.copy_id = c.copy_id
WHERE e.kind = 'message' AND e.at >= $1
GROUP BY f.namespace, f.name, e.status
ORDER BY f.namespace, f.name, e.status
