SELECT c.copy_id, c.funnel_id, c.connection, c.deal FROM rows($1, funnel_id bigint, connection text, deal text) r
JOIN copy c ON c.connection = r.connection AND c.deal = r.deal AND c.funnel_id = r.funnel_id
