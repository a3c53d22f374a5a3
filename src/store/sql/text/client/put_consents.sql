-- What a client withdrew through us, no CRM gives back.
INSERT INTO consent (address, brand, medium, purpose, given, own, at, source)
SELECT r.address, '', r.medium, 'Advertising', r.given, 0, CAST($1 AS bigint), r.source
FROM rows($2, address text, medium text, given smallint, source text) r WHERE true
ON CONFLICT (address, brand, medium, purpose) DO UPDATE SET given = excluded.given, at = excluded.at, source = excluded.source
WHERE consent.own = 0 AND (consent.given <> excluded.given OR consent.source <> excluded.source)
