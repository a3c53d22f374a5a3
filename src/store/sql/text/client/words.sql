-- What all contacts who are these people say of these addresses: of each connection one word a medium, the refusal before the consent.
-- It is summed up here, without their bodies: thousands may have one placeholder for a number, and each page may name it.
-- `IS TRUE` makes PostgreSQL look an address up among the asked ones by its hash, instead of going through all of them for each contact.
-- PostgreSQL takes no JSON with a NUL apart, wherever in it that stands.
SELECT a.hash, a.connection, min(a.address),
--pg CAST(min(CAST(CAST(CAST(replace(p.body, '\u0000', '\ufffd') AS json) -> 'consent' ->> 'sms' AS boolean) AS integer)) AS bigint),
--pg CAST(min(CAST(CAST(CAST(replace(p.body, '\u0000', '\ufffd') AS json) -> 'consent' ->> 'email' AS boolean) AS integer)) AS bigint)
--sqlite min(p.body ->> '$.consent.sms'), min(p.body ->> '$.consent.email')
FROM rows($1, root bigint) r
JOIN client c ON c.root = r.root
JOIN client_address a ON a.client_id = c.client_id
JOIN contact p ON p.connection = a.connection AND p.id = a.contact
WHERE (a.hash IN (SELECT t.hash FROM rows($2, hash text) t)) IS TRUE
GROUP BY a.hash, a.connection
