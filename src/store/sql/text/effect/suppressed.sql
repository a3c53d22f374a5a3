-- Only what stands in the way of this brand, medium and purpose; the person under all numbers they were ever known by.
-- Two questions, because with one joined by OR all prohibitions were read for each row of the batch.
SELECT e.copy_id, e.seq
FROM rows($1, copy_id bigint, seq integer) r
JOIN effect e ON e.copy_id = r.copy_id AND e.seq = r.seq
JOIN copy c ON c.copy_id = e.copy_id
JOIN client k ON k.client_id = c.client_id
JOIN client m ON m.root = k.root
JOIN suppression s ON s.scope = 'client' AND s.who = CAST(m.client_id AS TEXT)
WHERE e.kind = 'message' AND s.brand IN ('', e.brand) AND s.medium IN ('', e.medium) AND s.purpose IN ('', e.purpose)
UNION
SELECT e.copy_id, e.seq
FROM rows($1, copy_id bigint, seq integer) r
JOIN effect e ON e.copy_id = r.copy_id AND e.seq = r.seq
JOIN suppression s ON s.scope = 'address' AND s.who = e.recipient
WHERE e.kind = 'message' AND s.brand IN ('', e.brand) AND s.medium IN ('', e.medium) AND s.purpose IN ('', e.purpose)
ORDER BY 1, 2
