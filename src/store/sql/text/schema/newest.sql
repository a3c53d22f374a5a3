SELECT version, reads_from FROM schema_version ORDER BY version DESC LIMIT 1
