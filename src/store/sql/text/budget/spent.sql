SELECT b.policy, b.currency, b.period, b.spent FROM rows($1, policy text, currency text, period text) r
JOIN budget b ON b.policy = r.policy AND b.currency = r.currency AND b.period = r.period
