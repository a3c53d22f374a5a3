UPDATE budget SET spent = spent + r.amount FROM rows($1, policy text, currency text, period text, amount bigint) r
WHERE budget.policy = r.policy AND budget.currency = r.currency AND budget.period = r.period
