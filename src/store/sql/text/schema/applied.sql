INSERT INTO schema_version (version, name, applied_at, reads_from) VALUES ($1, $2, db_now(), $3)
