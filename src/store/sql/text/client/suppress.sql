INSERT INTO suppression (scope, who, brand, medium, purpose, reason, at)
SELECT r.scope, r.who, r.brand, r.medium, r.purpose, r.reason, r.at
FROM rows($1, scope text, who text, brand text, medium text, purpose text, reason text, at bigint) r WHERE true
ON CONFLICT (scope, who, brand, medium, purpose, reason) DO NOTHING
