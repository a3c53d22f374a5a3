DELETE FROM client_address WHERE connection = $1 AND contact IN (SELECT r.id FROM rows($2, id text) r)
