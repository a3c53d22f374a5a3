SELECT c.root, c.client_id FROM rows($1, root bigint) r JOIN client c ON c.root = r.root WHERE c.client_id <> c.root
