SELECT hash FROM code WHERE expires_at < $1 LIMIT $2
