//! MIME.

use serde::{Deserialize, Serialize};

/// A complete message, not yet signed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailMessage {
    /// MAIL FROM.
    pub envelope_from: String,
    /// Headers and body with CRLF line ends.
    pub raw: String,
}
