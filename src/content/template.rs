//! Marketers' templates.

use std::sync::Arc;

/// A compiled template.
#[derive(Clone)]
pub struct Template {
    source: Arc<str>,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source)
    }
}
