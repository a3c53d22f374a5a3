SELECT copy_id, seq FROM provider_ref WHERE provider = $1 AND id = $2 AND copy_id IS NOT NULL
