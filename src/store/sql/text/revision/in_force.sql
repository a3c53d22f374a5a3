-- Read by the intent: what was decided on an older revision, or for a deleted funnel, is decided again.
SELECT f.namespace, f.name, max(r.number), f.deleted
FROM rows($1, namespace text, name text) k
JOIN funnel f ON f.namespace = k.namespace AND f.name = k.name
JOIN revision r ON r.funnel_id = f.funnel_id
GROUP BY f.namespace, f.name, f.deleted
