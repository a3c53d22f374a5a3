-- A deal that got another contact person belongs to that client from now on. (A merge is not a move: the roots are the same.)
UPDATE copy SET client_id = d.client_id, shard = c.shard
FROM rows($2, id text) r
JOIN deal d ON d.connection = $1 AND d.id = r.id
JOIN client c ON c.client_id = d.client_id
WHERE copy.connection = $1 AND copy.deal = d.id
AND c.root <> (SELECT old.root FROM client old WHERE old.client_id = copy.client_id)
