INSERT INTO reaction (copy_id, ver, n, at, seconds)
SELECT r.copy_id, r.ver, r.n, CAST($2 AS bigint), r.seconds
FROM rows($1, copy_id bigint, ver bigint, n integer, seconds bigint) r
WHERE true
ON CONFLICT (copy_id, ver, n) DO NOTHING
