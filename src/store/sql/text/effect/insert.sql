-- What is not returned exists already: tried before, never to be tried again.
INSERT INTO effect (copy_id, cycle, list, item, recipient, seq, status, attempt, at, expires_at, revision, kind, medium, purpose, target, brand, variant, consent, body_hash, links, reason, cost, charged)
SELECT r.copy_id, r.cycle, r.list, r.item, r.recipient, r.seq, r.status, r.attempt, CAST($2 AS bigint), r.expires_at, r.revision, r.kind, r.medium,
r.purpose, r.target, r.brand, r.variant, r.consent, r.body_hash, r.links, r.reason, r.cost, r.charged
FROM rows($1, copy_id bigint, cycle integer, list text, item text, recipient text, seq integer, status smallint, attempt smallint, expires_at bigint, revision bigint, kind text, medium text, purpose text, target text, brand text, variant text, consent text, body_hash text, links text, reason text, cost bigint, charged text) r
WHERE true
ON CONFLICT (copy_id, cycle, list, item, recipient) DO NOTHING
RETURNING copy_id, seq
