SELECT coalesce(sum(CASE WHEN k.verdict = 'human' THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN k.verdict = 'machine' THEN 1 ELSE 0 END), 0)
FROM copy c JOIN click k ON k.copy_id = c.copy_id
WHERE c.funnel_id = $1 AND k.at >= $2
