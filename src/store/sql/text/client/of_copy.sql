SELECT c.root FROM copy y JOIN client c ON c.client_id = y.client_id WHERE y.copy_id = $1
