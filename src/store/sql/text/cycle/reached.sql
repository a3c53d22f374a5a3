-- Contacted is who got a message, or may have: not whose messages were all refused. 3, 4, 5: skipped, failed, expired. What a customer
-- gets after the end of a cycle contacts nobody in it.
UPDATE cycle SET contacted_at = (
  SELECT coalesce(cycle.contacted_at, min(m.at)) FROM effect m
  WHERE m.copy_id = cycle.copy_id AND m.cycle = cycle.cycle AND m.kind = 'message' AND m.status NOT IN (3, 4, 5) HAVING count(*) > 0)
FROM rows($1, copy_id bigint, seq integer) r JOIN effect e ON e.copy_id = r.copy_id AND e.seq = r.seq
WHERE cycle.copy_id = e.copy_id AND cycle.cycle = e.cycle AND (cycle.contacted_at IS NOT NULL OR cycle.ended_at IS NULL)
