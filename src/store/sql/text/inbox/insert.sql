INSERT INTO inbox (received_at, ready_at, event)
SELECT r.received_at, r.ready_at, r.event FROM rows($1, received_at bigint, ready_at bigint, event text) r
