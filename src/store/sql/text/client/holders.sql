-- Who of these people has which address now.
SELECT a.connection, a.contact, a.hash FROM rows($1, root bigint) r
JOIN client c ON c.root = r.root
JOIN client_address a ON a.client_id = c.client_id
