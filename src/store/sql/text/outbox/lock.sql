-- Every transaction that reports outcomes locks outbox rows before effects, effects before budgets, budgets before recipients, and
-- recipients before cycles; one that decides locks budgets, recipients, copies, then cycles.
SELECT o.copy_id FROM rows($1, copy_id bigint, seq integer) r JOIN outbox o ON o.copy_id = r.copy_id AND o.seq = r.seq
ORDER BY o.copy_id, o.seq
--pg FOR UPDATE OF o
