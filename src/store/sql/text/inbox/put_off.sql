-- What a broken funnel cannot take now waits for it, by then only for the copies that it is still owed to. Who puts it off has survived it.
UPDATE inbox SET ready_at = r.ready_at, event = r.event, attempts = 0
FROM rows($1, id bigint, ready_at bigint, event text) r WHERE inbox.id = r.id
