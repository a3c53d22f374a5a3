INSERT INTO seen (source, id, at)
SELECT r.source, r.id, r.at FROM rows($1, source text, id text, at bigint) r WHERE true
ON CONFLICT (source, id) DO NOTHING
RETURNING source, id
