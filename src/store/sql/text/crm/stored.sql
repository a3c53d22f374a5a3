SELECT d.id, d.hash, d.updated_at, d.deleted FROM rows($2, id text) r JOIN deal d ON d.connection = $1 AND d.id = r.id
