-- Where the links of its messages led, which may say who was to follow them: they lead nowhere any more.
-- CASE: by its key, not by what is true of the row alone.
UPDATE effect SET links = NULL WHERE copy_id IN (
SELECT c.copy_id FROM rows($1, connection text, id text) r
JOIN deal d ON d.connection = r.connection AND d.id = r.id AND CASE WHEN r.id <> '' THEN d.deleted ELSE 0 END = 1
JOIN copy c ON c.connection = d.connection AND c.deal = d.id)
