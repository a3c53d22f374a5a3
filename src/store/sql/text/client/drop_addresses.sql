-- The connection stands in each row: as a parameter of its own PostgreSQL read all addresses of the connection.
DELETE FROM client_address WHERE (connection, contact) IN (SELECT r.connection, r.id FROM rows($1, connection text, id text) r)
