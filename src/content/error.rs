//! Why an item cannot be rendered for a client.

use crate::{links::RandomError, model::SkipReason};

/// Holds names of values, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A value without a default is not known of this client: the message is not sent.
    #[error("{0} is not known; write {{{{ {0} | default('…') }}}} or put it into {{% if {0} %}}")]
    Missing(String),
    #[error("the text is longer than {} kB", super::MAX_RENDERED / 1024)]
    TooBig,
    /// More SMS parts than the channel allows.
    #[error("the SMS has {parts} parts, the channel allows {max}; shorten the text")]
    TooLong { parts: u32, max: u32 },
    /// With the value and the filter, like `deal.rooms | plural_ru`, as far as one is to blame.
    #[error("{}something that is not a number is computed with; use numbers, or ~ to join texts", place(.0))]
    NotANumber(String),
    /// With the value and the filter.
    #[error("{}the filter date got something that is not a date; use it on date fields", place(.0))]
    NotADate(String),
    /// A link is no web address with a fixed host.
    #[error("the link {0} is no web address; write https://, the site, a slash, and values only after it")]
    BadLink(String),
    #[error("the text is empty")]
    Empty,
    /// A header value or an address that would break the message.
    #[error("{0} holds characters that a header cannot carry")]
    BadHeader(&'static str),
    /// An opt-out link is due, and the installation has no public address to make it with.
    #[error("an opt-out link is needed, but there is no public address; set the public URL, or optOut: Keyword")]
    NoPublicAddress,
    /// The item is for another medium than the address or the channel.
    #[error("the item, its channel and the address are not of one medium")]
    Medium,
    #[error("something is divided by zero; write another number, or ask for it with {{% if … %}} first")]
    DividesByZero,
    #[error(transparent)]
    Random(#[from] RandomError),
}

fn place(at: &str) -> String {
    if at.is_empty() { String::new() } else { format!("{at}: ") }
}

impl RenderError {
    pub(super) const fn not_a_number() -> Self {
        Self::NotANumber(String::new())
    }

    pub(super) const fn not_a_date() -> Self {
        Self::NotADate(String::new())
    }

    /// With the value, and the filter if one got it, unless a place nearer to the cause is known.
    pub(super) fn at(mut self, value: &str, filter: &str) -> Self {
        if let Self::NotANumber(at) | Self::NotADate(at) = &mut self
            && at.is_empty()
            && !value.is_empty()
        {
            *at = if filter.is_empty() { value.to_owned() } else { format!("{value} | {filter}") };
        }
        self
    }

    /// Stable name for metrics and events.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing_value",
            Self::TooBig => "too_big",
            Self::TooLong { .. } => "too_long",
            Self::NotANumber(_) | Self::NotADate(_) => "wrong_type",
            Self::BadLink(_) => "bad_link",
            Self::Empty => "empty",
            Self::BadHeader(_) => "bad_header",
            Self::NoPublicAddress => "no_public_address",
            Self::Medium => "medium",
            Self::DividesByZero => "divides_by_zero",
            Self::Random(_) => "random",
        }
    }

    /// What the ledger says of the item.
    #[must_use]
    pub const fn skip_reason(&self) -> SkipReason {
        match self {
            Self::Missing(_) => SkipReason::MissingValue,
            Self::TooLong { .. } => SkipReason::TooLong,
            _ => SkipReason::RenderError,
        }
    }
}
