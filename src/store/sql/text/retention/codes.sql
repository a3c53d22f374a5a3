DELETE FROM code WHERE hash IN (SELECT r.hash FROM rows($1, hash text) r)
