SELECT c.copy_id FROM rows($2, id text) r JOIN copy c ON c.connection = $1 AND c.deal = r.id ORDER BY c.copy_id
