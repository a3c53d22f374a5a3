SELECT c.hash, c.copy_id, c.seq, c.link FROM rows($1, hash text) r JOIN code c ON c.hash = r.hash
