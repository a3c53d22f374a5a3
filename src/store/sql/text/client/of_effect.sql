-- As in effect/info: whom a message was written to, whoever its deal belongs to by now.
SELECT coalesce(w.root, k.root) FROM copy y
JOIN client k ON k.client_id = y.client_id
LEFT JOIN effect e ON e.copy_id = y.copy_id AND e.seq = $2
LEFT JOIN client_key a ON a.key = 'address:' || e.recipient
LEFT JOIN client w ON w.client_id = a.client_id
WHERE y.copy_id = $1
