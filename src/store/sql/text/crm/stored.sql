-- The connection stands in each row: as a parameter of its own PostgreSQL read all deals of the connection for each row of the batch.
SELECT d.id, d.hash, d.updated_at, d.deleted FROM rows($1, connection text, id text) r JOIN deal d ON d.connection = r.connection AND d.id = r.id
