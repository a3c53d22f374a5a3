SELECT c.address, c.brand, c.medium, c.purpose, c.given, c.source, c.at, c.wording
FROM rows($1, hash text) r JOIN consent c ON c.address = r.hash
ORDER BY c.address, c.brand, c.medium, c.purpose
