-- The version before wrote the provider's name without its channel, and two channels may name their providers alike: the message says
-- which of them it left through.
SELECT p.copy_id, p.seq FROM provider_ref p
JOIN effect e ON e.copy_id = p.copy_id AND e.seq = p.seq
WHERE p.provider = $1 AND p.id = $2 AND e.target = $3
