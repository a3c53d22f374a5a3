-- Counted when handed out: a row that kills the process is known after the restart.
UPDATE inbox SET attempts = attempts + 1 WHERE id IN (SELECT r.id FROM rows($1, id bigint) r)
