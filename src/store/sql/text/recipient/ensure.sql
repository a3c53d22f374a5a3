INSERT INTO recipient (hash, ver, recent) SELECT r.hash, 0, '[]' FROM rows($1, hash text) r WHERE true ON CONFLICT (hash) DO NOTHING
