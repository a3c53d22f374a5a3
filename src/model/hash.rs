//! The one stable hash of the product: shards, holdout, variants, jitter. Seeded by its parts, the same on every machine and in
//! every version, because stored rows and published experiments depend on it.

use ring::digest;

/// SHA-256 over length-prefixed parts, first 8 bytes big-endian. Length prefixes keep `("ab","c")` and `("a","bc")` apart.
#[must_use]
pub fn stable_hash(parts: &[&[u8]]) -> u64 {
    let mut ctx = digest::Context::new(&digest::SHA256);
    for part in parts {
        ctx.update(&(part.len() as u64).to_be_bytes());
        ctx.update(part);
    }
    let out = ctx.finish();
    let mut first = [0_u8; 8];
    first.copy_from_slice(&out.as_ref()[..8]);
    u64::from_be_bytes(first)
}

/// A share in `0.0..1.0` from a hash: what holdout and variant weights compare with.
#[must_use]
#[allow(clippy::cast_precision_loss)] // 53 bits are plenty for shares
pub fn share(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}
