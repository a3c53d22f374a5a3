DELETE FROM seen WHERE (source, id) IN (SELECT r.source, r.id FROM rows($1, source text, id text) r)
