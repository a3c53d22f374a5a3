-- A gateway that counts anew gives a number again: from then on it is the newest message's, and what was reported of the one before says
-- nothing of it. A bare name (no channel: of the version before) may mean several gateways, and stays whose it was first.
INSERT INTO provider_ref (provider, id, copy_id, seq)
SELECT r.provider, r.id, r.copy_id, r.seq FROM rows($1, provider text, id text, copy_id bigint, seq integer) r WHERE true
ON CONFLICT (provider, id) DO UPDATE SET
copy_id = CASE WHEN provider_ref.copy_id IS NULL OR excluded.provider LIKE '%/%' THEN excluded.copy_id ELSE provider_ref.copy_id END,
seq = CASE WHEN provider_ref.copy_id IS NULL OR excluded.provider LIKE '%/%' THEN excluded.seq ELSE provider_ref.seq END,
early = CASE WHEN provider_ref.copy_id IS NULL OR excluded.provider NOT LIKE '%/%'
OR (provider_ref.copy_id = excluded.copy_id AND provider_ref.seq = excluded.seq) THEN provider_ref.early END,
early_at = CASE WHEN provider_ref.copy_id IS NULL OR excluded.provider NOT LIKE '%/%'
OR (provider_ref.copy_id = excluded.copy_id AND provider_ref.seq = excluded.seq) THEN provider_ref.early_at END
RETURNING copy_id, seq, early, early_at
