INSERT INTO client (client_id, shard, root) SELECT r.id, r.shard, r.root FROM rows($1, id bigint, shard smallint, root bigint) r
