SELECT policy, currency, period, spent FROM budget WHERE period >= $1 ORDER BY policy, currency, period
