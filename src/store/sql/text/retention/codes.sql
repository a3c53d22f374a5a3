-- Links of texts nobody clicks any more: the page says that the link is too old.
DELETE FROM code WHERE hash IN (SELECT c.hash FROM code c WHERE c.expires_at < $1 LIMIT $2)
