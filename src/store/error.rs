//! What can go wrong with a store, in words for an SRE, with a stable label for metrics.

/// `sqlx::Error` stays inside; its texts never carry values of rows.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Try again: the connection broke, the server restarts, a lock timed out.
    #[error("the store cannot be reached: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database does not take the user or password of the store's address: they may have been changed a moment ago.
    #[error("the database refuses the login ({0}): the user or password in the store's address is not, or no longer, right")]
    LoginRefused(String),
    /// The lease belongs to another engine now: drop everything that was not committed.
    #[error("the engine lease was lost")]
    LeaseLost,
    /// COMMIT's reply was lost: neither done nor not done may be assumed.
    #[error("the connection broke inside COMMIT; the batch may or may not be stored")]
    AmbiguousCommit,
    #[error("{0}")]
    Incompatible(String),
    #[error("another rekindle process uses this database: {0}")]
    Locked(String),
    #[error("the disk is full; nothing of this batch was stored")]
    DiskFull,
    /// A row that cannot be read back, or SQL that does not fit: a bug or a damaged database.
    #[error("{what}")]
    Corrupt {
        what: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    #[error("{0:?} is not a store; write sqlite:PATH or postgres://…")]
    Url(String),
}

impl StoreError {
    /// Stable name for metrics and events.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::LoginRefused(_) => "login_refused",
            Self::LeaseLost => "lease_lost",
            Self::AmbiguousCommit => "ambiguous_commit",
            Self::Incompatible(_) => "incompatible",
            Self::Locked(_) => "locked",
            Self::DiskFull => "disk_full",
            Self::Corrupt { .. } => "corrupt",
            Self::Url(_) => "url",
        }
    }

    /// Whether trying the same again later can help.
    #[must_use]
    pub const fn temporary(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::LoginRefused(_) | Self::DiskFull | Self::AmbiguousCommit)
    }
}
