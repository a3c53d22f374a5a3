INSERT INTO installation (one, secret, created_at) VALUES (1, $1, db_now()) ON CONFLICT (one) DO NOTHING
