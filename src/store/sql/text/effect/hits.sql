-- The newest of each message only: somebody who opens one link ten thousand times must not make every look at it longer.
SELECT w.copy_id, w.seq, w.link, w.at FROM (
SELECT k.copy_id AS copy_id, k.seq AS seq, k.link AS link, k.at AS at,
row_number() OVER (PARTITION BY k.copy_id, k.seq ORDER BY k.at DESC, k.link DESC) AS newest
FROM rows($1, copy_id bigint, seq integer) r
JOIN click k ON k.copy_id = r.copy_id AND k.seq = r.seq
) w WHERE w.newest <= $2 ORDER BY w.copy_id, w.seq, w.at, w.link
