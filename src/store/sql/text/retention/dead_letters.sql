DELETE FROM dead_letter WHERE id IN (SELECT r.id FROM rows($1, id bigint) r)
