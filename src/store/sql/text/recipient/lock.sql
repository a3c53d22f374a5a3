-- In the order of the key, so that two transactions with the same people never wait for each other in a circle.
SELECT p.hash, p.recent FROM rows($1, hash text) r JOIN recipient p ON p.hash = r.hash ORDER BY p.hash
--pg FOR UPDATE OF p
