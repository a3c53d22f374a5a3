-- The evidence beside the prohibition: consent of every address of the person, or of the one address (whoever has it, or nobody any more), is
-- withdrawn by us. CASE: an address is no number, and nothing may try to read it as one.
INSERT INTO consent (address, brand, medium, purpose, given, own, at, source)
SELECT x.hash, x.brand, x.medium, 'Advertising', 0, 1, max(x.at), 'unsubscribed' FROM (
SELECT a.hash AS hash, r.brand AS brand, CASE WHEN a.address LIKE '{"Phone"%' THEN 'Sms' ELSE 'Email' END AS medium, r.medium AS only_medium, r.at AS at
FROM rows($1, scope text, who text, brand text, medium text, at bigint) r
JOIN client me ON me.client_id = CASE WHEN r.scope = 'client' THEN CAST(r.who AS bigint) END
JOIN client c ON c.root = me.root
JOIN client_address a ON a.client_id = c.client_id
UNION ALL
SELECT r.who, r.brand, r.medium, r.medium, r.at
FROM rows($1, scope text, who text, brand text, medium text, at bigint) r WHERE r.scope = 'address' AND r.medium <> ''
) x
WHERE x.only_medium = '' OR x.only_medium = x.medium
GROUP BY x.hash, x.brand, x.medium
ON CONFLICT (address, brand, medium, purpose) DO UPDATE SET given = 0, own = 1, at = excluded.at, source = excluded.source
