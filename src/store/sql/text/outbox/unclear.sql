-- Of these, the messages that nobody can tell about, with the attempt in question and whether the text is there.
SELECT e.copy_id, e.seq, e.attempt, CASE WHEN o.payload IS NULL THEN 0 ELSE 1 END
FROM rows($1, copy_id bigint, seq integer) r
JOIN effect e ON e.copy_id = r.copy_id AND e.seq = r.seq
LEFT JOIN outbox o ON o.copy_id = e.copy_id AND o.seq = e.seq
WHERE e.kind = 'message' AND e.status = 2
ORDER BY e.copy_id, e.seq
--pg FOR NO KEY UPDATE OF e
