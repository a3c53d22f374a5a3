-- Whom news of contacts may concern. By the keys: a deal may have named a contact that is not stored yet. What is archived is not looked at.
SELECT y.copy_id FROM rows($1, key text) r
JOIN client_key k ON k.key = r.key
JOIN client c ON c.client_id = k.client_id
JOIN client m ON m.root = c.root
JOIN copy y ON y.client_id = m.client_id
WHERE y.role <> 'Archived'
ORDER BY y.copy_id
