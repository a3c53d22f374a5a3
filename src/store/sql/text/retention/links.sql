-- Where the links of its messages led, which may say who was to follow them: they lead nowhere any more.
-- "+ 0": by its key, not by the index of what is gone.
UPDATE effect SET links = NULL WHERE links IS NOT NULL AND copy_id IN (
SELECT c.copy_id FROM rows($1, connection text, id text) r
JOIN deal d ON d.connection = r.connection AND d.id = r.id AND d.deleted + 0 = 1
JOIN copy c ON c.connection = d.connection AND c.deal = d.id)
