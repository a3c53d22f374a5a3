-- Whoever opens a link has got the message: that settles an unknown.
UPDATE effect SET clicked_at = CASE WHEN r.human = 1 THEN coalesce(clicked_at, r.at) ELSE clicked_at END,
status = CASE WHEN status = 2 THEN 6 ELSE status END
FROM rows($1, copy_id bigint, seq integer, at bigint, human smallint) r
WHERE effect.copy_id = r.copy_id AND effect.seq = r.seq
