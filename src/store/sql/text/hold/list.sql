SELECT scope, namespace, name, since, held_by, reason FROM hold ORDER BY since, scope, namespace, name
