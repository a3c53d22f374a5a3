-- The same question before the intent is written: a prohibition that was committed since the copy was loaded stops it.
-- Two questions, because with one joined by OR all prohibitions were read for each row of the batch.
SELECT r.n
FROM rows($1, n integer, copy_id bigint, recipient text, brand text, medium text, purpose text) r
JOIN copy c ON c.copy_id = r.copy_id
JOIN client k ON k.client_id = c.client_id
JOIN client m ON m.root = k.root
JOIN suppression s ON s.scope = 'client' AND s.who = CAST(m.client_id AS TEXT)
WHERE s.brand IN ('', r.brand) AND s.medium IN ('', r.medium) AND s.purpose IN ('', r.purpose)
UNION
SELECT r.n
FROM rows($1, n integer, recipient text, brand text, medium text, purpose text) r
JOIN suppression s ON s.scope = 'address' AND s.who = r.recipient
WHERE s.brand IN ('', r.brand) AND s.medium IN ('', r.medium) AND s.purpose IN ('', r.purpose)
