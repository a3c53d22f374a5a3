-- What machines opened. Clicks of people are counted for ever, and few.
DELETE FROM click WHERE (copy_id, seq, link, at) IN (
SELECT k.copy_id, k.seq, k.link, k.at FROM click k WHERE k.at < $1 AND k.verdict = 'machine' LIMIT $2)
