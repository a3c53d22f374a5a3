SELECT cursor FROM connection WHERE name = $1
