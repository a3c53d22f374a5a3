-- Before what is asked of their messages, and in one order: two receipts of one cycle may come at once.
SELECT y.copy_id FROM rows($1, copy_id bigint, seq integer) r
JOIN effect e ON e.copy_id = r.copy_id AND e.seq = r.seq
JOIN cycle y ON y.copy_id = e.copy_id AND y.cycle = e.cycle
ORDER BY y.copy_id, y.cycle
--pg FOR NO KEY UPDATE OF y
