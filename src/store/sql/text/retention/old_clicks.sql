-- What machines opened. Clicks of people are counted for ever, and few.
SELECT copy_id, seq, link, at FROM click WHERE at < $1 AND verdict = 'machine' LIMIT $2
