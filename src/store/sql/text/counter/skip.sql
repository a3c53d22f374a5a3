-- Nothing below $2 is given from now on, nor anything that may have been given before. Where the count has come that far already it goes on by $3.
-- 'seq' (below it no message of any copy is numbered) is written when it is needed first, so that the version before does not mind it.
INSERT INTO counter (name, value) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET value = CASE WHEN counter.value < excluded.value THEN excluded.value ELSE counter.value + $3 END
