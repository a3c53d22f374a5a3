SELECT s.scope, s.who, s.brand, s.medium, s.purpose, s.reason, s.at
FROM rows($1, scope text, who text) r JOIN suppression s ON s.scope = r.scope AND s.who = r.who
ORDER BY s.at, s.scope, s.who
