UPDATE recipient SET ver = ver + 1, recent = r.recent FROM rows($1, hash text, recent text) r WHERE recipient.hash = r.hash
