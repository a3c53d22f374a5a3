-- A write-back is due no earlier than those of its copy that come before it.
INSERT INTO outbox (copy_id, seq, shard, due_at, epoch, expires_at, kind, target, payload, resend)
SELECT r.copy_id, r.seq, c.shard, CASE WHEN r.kind = 'message' THEN r.due_at ELSE (
SELECT max(x.due_at) FROM (SELECT r.due_at AS due_at UNION ALL
SELECT b.due_at FROM outbox b WHERE b.copy_id = r.copy_id AND b.seq < r.seq AND b.kind <> 'message') x) END, r.epoch, r.expires_at, r.kind, r.target, r.payload, r.resend
FROM rows($1, copy_id bigint, seq integer, due_at bigint, epoch bigint, expires_at bigint, kind text, target text, payload text, resend smallint) r
JOIN copy c ON c.copy_id = r.copy_id
WHERE true
ON CONFLICT (copy_id, seq) DO UPDATE SET due_at = excluded.due_at, epoch = excluded.epoch, payload = coalesce(excluded.payload, outbox.payload)
