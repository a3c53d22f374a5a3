-- All that a batch changes, in the order in which outcomes lock them. Each of the statements that follow has an order, all of them together
-- have none. A cycle that begins closes those before it.
SELECT y.copy_id FROM rows($1, copy_id bigint, cycle integer) r
JOIN cycle y ON y.copy_id = r.copy_id AND y.cycle <= r.cycle
ORDER BY y.copy_id, y.cycle
--pg FOR NO KEY UPDATE OF y
