-- Unless it has come back meanwhile. CASE: by its key, not by what is true of the row alone.
UPDATE deal SET body = r.body FROM rows($1, connection text, id text, body text) r
WHERE deal.connection = r.connection AND deal.id = r.id AND CASE WHEN r.body <> '' THEN deal.deleted ELSE 0 END = 1
