-- A deal that got another contact person belongs to that client from now on. (A merge is not a move: the roots are the same.)
-- The moves are found first, batch by key: with the table itself in front, SQLite read all copies once for each deal of the batch.
UPDATE copy SET client_id = x.client_id, shard = x.shard
FROM (
SELECT y.copy_id, d.client_id, c.shard
FROM rows($1, connection text, id text) r
JOIN deal d ON d.connection = r.connection AND d.id = r.id
JOIN client c ON c.client_id = d.client_id
JOIN copy y ON y.connection = d.connection AND y.deal = d.id
JOIN client old ON old.client_id = y.client_id
WHERE c.root <> old.root
--sqlite LIMIT -1
) x
WHERE copy.copy_id = x.copy_id
