SELECT f.namespace, f.name, r.number, r.published_at, r.snapshot, r.deleted
FROM funnel f JOIN revision r ON r.funnel_id = f.funnel_id
WHERE r.number = (SELECT max(n.number) FROM revision n WHERE n.funnel_id = f.funnel_id)
ORDER BY f.namespace, f.name
