-- What its process survived is no attempt: only a row that ends each process comes to many.
UPDATE inbox SET attempts = 0 WHERE id IN (SELECT r.id FROM rows($1, id bigint) r)
