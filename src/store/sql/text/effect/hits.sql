SELECT k.copy_id, k.seq, k.link, k.at FROM rows($1, copy_id bigint, seq integer) r
JOIN click k ON k.copy_id = r.copy_id AND k.seq = r.seq
ORDER BY k.copy_id, k.seq, k.at, k.link
