UPDATE click SET verdict = $5, why = $6 WHERE copy_id = $1 AND seq = $2 AND link = $3 AND at = $4
