SELECT k.key, c.root FROM rows($1, key text) r
JOIN client_key k ON k.key = r.key
JOIN client c ON c.client_id = k.client_id
