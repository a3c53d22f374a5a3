DELETE FROM provider_ref WHERE (provider, id) IN (SELECT r.provider, r.id FROM rows($1, provider text, id text) r)
