INSERT INTO provider_ref (provider, id, copy_id, seq)
SELECT r.provider, r.id, r.copy_id, r.seq FROM rows($1, provider text, id text, copy_id bigint, seq integer) r WHERE true
ON CONFLICT (provider, id) DO UPDATE SET copy_id = coalesce(provider_ref.copy_id, excluded.copy_id), seq = coalesce(provider_ref.seq, excluded.seq)
RETURNING copy_id, seq, early, early_at
