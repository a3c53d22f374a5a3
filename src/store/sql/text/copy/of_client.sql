SELECT y.copy_id FROM client c JOIN copy y ON y.client_id = c.client_id WHERE c.root = $1 ORDER BY y.copy_id
