SELECT name, cursor FROM connection ORDER BY name
