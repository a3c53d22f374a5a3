INSERT INTO provider_ref (provider, id, early, early_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (provider, id) DO UPDATE SET
early = CASE WHEN provider_ref.early = '"Delivered"' THEN provider_ref.early ELSE excluded.early END,
early_at = CASE WHEN provider_ref.early = '"Delivered"' THEN provider_ref.early_at ELSE excluded.early_at END
RETURNING copy_id, seq
