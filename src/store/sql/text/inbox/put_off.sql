-- What a broken funnel cannot take now waits for it, by then only for the copies that it is still owed to.
UPDATE inbox SET ready_at = r.ready_at, event = r.event
FROM rows($1, id bigint, ready_at bigint, event text) r WHERE inbox.id = r.id
