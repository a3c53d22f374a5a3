INSERT INTO budget (policy, currency, period, spent)
SELECT r.policy, r.currency, r.period, 0 FROM rows($1, policy text, currency text, period text) r WHERE true
ON CONFLICT (policy, currency, period) DO NOTHING
