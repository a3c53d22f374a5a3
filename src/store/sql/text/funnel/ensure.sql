INSERT INTO funnel (namespace, name) VALUES ($1, $2) ON CONFLICT (namespace, name) DO NOTHING
