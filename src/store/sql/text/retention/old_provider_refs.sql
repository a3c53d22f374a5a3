-- No provider reports on a message after so long a time; an early receipt whose message never came is dropped as well.
SELECT p.provider, p.id FROM provider_ref p
LEFT JOIN effect e ON e.copy_id = p.copy_id AND e.seq = p.seq
WHERE coalesce(e.at, p.early_at, 0) < $1 LIMIT $2
