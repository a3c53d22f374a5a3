UPDATE client SET root = r.to_root FROM rows($1, id bigint, to_root bigint) r WHERE client.root = r.id
