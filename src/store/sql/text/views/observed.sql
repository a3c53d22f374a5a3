SELECT at, list, item, medium FROM observed WHERE copy_id = $1 ORDER BY at, list, item
