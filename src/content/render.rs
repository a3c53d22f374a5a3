//! One item for one client: the exact bytes that a provider gets.

use super::EmailMessage;
use serde::{Deserialize, Serialize};

/// A rendered message: kept as it is from the intent on, never rendered again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rendered {
    Sms { from: String, text: String },
    Email(EmailMessage),
}

impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<rendered message>")
    }
}
