SELECT body FROM manager WHERE connection = $1 ORDER BY id
