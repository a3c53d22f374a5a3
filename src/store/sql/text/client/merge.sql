UPDATE client SET merged_into = r.root FROM rows($1, id bigint, root bigint) r
WHERE client.client_id = r.id AND client.merged_into IS NULL
