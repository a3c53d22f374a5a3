-- In the order of the key, and before the recipients: whoever gives back does the same.
SELECT b.policy, b.currency, b.period, b.spent FROM rows($1, policy text, currency text, period text) r
JOIN budget b ON b.policy = r.policy AND b.currency = r.currency AND b.period = r.period
ORDER BY b.policy, b.currency, b.period
--pg FOR UPDATE OF b
