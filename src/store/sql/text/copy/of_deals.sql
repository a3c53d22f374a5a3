SELECT c.copy_id FROM rows($1, connection text, id text) r JOIN copy c ON c.connection = r.connection AND c.deal = r.id ORDER BY c.copy_id
