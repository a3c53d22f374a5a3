SELECT p.hash, p.recent FROM rows($1, hash text) r JOIN recipient p ON p.hash = r.hash
