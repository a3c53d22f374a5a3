SELECT c.root FROM deal d JOIN client c ON c.client_id = d.client_id WHERE d.connection = $1 AND d.id = $2
