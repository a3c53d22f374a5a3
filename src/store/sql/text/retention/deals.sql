-- Unless it has come back meanwhile.
-- "+ 0": by its key, not by the index of what is gone.
UPDATE deal SET body = r.body FROM rows($1, connection text, id text, body text) r
WHERE deal.connection = r.connection AND deal.id = r.id AND deal.deleted + 0 = 1
