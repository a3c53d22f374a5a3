-- The evidence beside the prohibition: consent of every address of the person, or of the one address, is withdrawn by us.
INSERT INTO consent (address, brand, medium, purpose, given, own, at, source)
SELECT DISTINCT x.hash, x.brand, x.medium, 'Advertising', 0, 1, x.at, 'unsubscribed' FROM (
SELECT a.hash AS hash, r.brand AS brand, CASE WHEN a.address LIKE '{"Phone"%' THEN 'Sms' ELSE 'Email' END AS medium, r.medium AS only_medium, r.at AS at
FROM rows($1, scope text, who text, brand text, medium text, at bigint) r
JOIN client me ON r.scope = 'client' AND me.client_id = CAST(r.who AS bigint)
JOIN client c ON c.root = me.root
JOIN client_address a ON a.client_id = c.client_id
) x
WHERE x.only_medium = '' OR x.only_medium = x.medium
ON CONFLICT (address, brand, medium, purpose) DO UPDATE SET given = 0, own = 1, at = excluded.at, source = excluded.source
