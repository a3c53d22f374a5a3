SELECT c.root, a.hash, a.address FROM rows($1, root bigint) r
JOIN client c ON c.root = r.root
JOIN client_address a ON a.client_id = c.client_id
ORDER BY c.root, a.connection, a.contact, a.rank
