-- PostgreSQL counts attempts in 16 bits (a wider column would break what the version before has prepared): at 32,000 the count stays.
UPDATE effect SET status = 1, attempt = CASE WHEN attempt < 32000 THEN attempt + 1 ELSE attempt END
FROM rows($1, copy_id bigint, seq integer) r
WHERE effect.copy_id = r.copy_id AND effect.seq = r.seq
