-- Opt-outs of those whom a deal wrote to before it got another client. Those of its client now stand in its history.
SELECT DISTINCT s.at, e.recipient FROM copy y
JOIN client k ON k.client_id = y.client_id
JOIN effect e ON e.copy_id = y.copy_id AND e.kind = 'message'
JOIN client_key a ON a.key = 'address:' || e.recipient
JOIN client w ON w.client_id = a.client_id AND w.root <> k.root
JOIN suppression s ON s.scope = 'address' AND s.who = e.recipient AND s.brand = e.brand AND s.reason = 'Unsubscribed'
WHERE y.copy_id = $1 ORDER BY s.at, e.recipient
