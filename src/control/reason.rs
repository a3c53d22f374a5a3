//! The reasons that conditions give. Part of the API: documented in `docs/conditions.md`, never renamed.

/// Why a condition has its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionReason {
    /// Ready: what stands in the spec is what happens.
    InForce,
    /// Ready: valid, and no funnel that is in force uses it yet.
    NotUsed,
    /// Ready: something in the spec must be put right.
    Invalid,
    /// Ready: something that it names does not exist yet; it heals when that comes.
    WaitingForReference,
    /// Ready: something that it names is not valid; it heals when that is put right.
    ReferenceInvalid,
    /// Ready: valid, but a funnel that uses it keeps its last good revision for another reason, and with it what this was before.
    WaitingForFunnel,
    /// Ready, Healthy, `SourceReady`, `ChannelsReady`: what it describes cannot be opened.
    CannotOpen,
    /// Healthy, `SourceReady`, `ChannelsReady`, `ContentValid`: all is well.
    Working,
    /// Healthy, `SourceReady`: not read yet.
    NotReadYet,
    /// Healthy, `SourceReady`: the last reading failed.
    ReadFailed,
    /// `SourceReady`: not read for longer than `maxStaleness`; nothing is sent.
    Stale,
    /// Healthy, `ChannelsReady`: no provider takes messages at present.
    ProviderDown,
    /// Healthy: the store cannot be used.
    StoreUnavailable,
    /// Healthy: the clock of the machine is too far from the database's.
    ClockWrong,
    /// Suspended: no.
    Running,
    /// Suspended: by the spec.
    Suspended,
    /// Suspended: by `paused` of the policy.
    PolicyPaused,
    /// Suspended, `ChannelsReady`: by `rekindle hold`.
    Held,
}

impl ConditionReason {
    /// Every reason, for the documentation's test.
    pub const ALL: [Self; 18] = [
        Self::InForce,
        Self::NotUsed,
        Self::Invalid,
        Self::WaitingForReference,
        Self::ReferenceInvalid,
        Self::WaitingForFunnel,
        Self::CannotOpen,
        Self::Working,
        Self::NotReadYet,
        Self::ReadFailed,
        Self::Stale,
        Self::ProviderDown,
        Self::StoreUnavailable,
        Self::ClockWrong,
        Self::Running,
        Self::Suspended,
        Self::PolicyPaused,
        Self::Held,
    ];

    /// The word in `reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InForce => "InForce",
            Self::NotUsed => "NotUsed",
            Self::Invalid => "Invalid",
            Self::WaitingForReference => "WaitingForReference",
            Self::ReferenceInvalid => "ReferenceInvalid",
            Self::WaitingForFunnel => "WaitingForFunnel",
            Self::CannotOpen => "CannotOpen",
            Self::Working => "Working",
            Self::NotReadYet => "NotReadYet",
            Self::ReadFailed => "ReadFailed",
            Self::Stale => "Stale",
            Self::ProviderDown => "ProviderDown",
            Self::StoreUnavailable => "StoreUnavailable",
            Self::ClockWrong => "ClockWrong",
            Self::Running => "Running",
            Self::Suspended => "Suspended",
            Self::PolicyPaused => "PolicyPaused",
            Self::Held => "Held",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ConditionReason;

    #[test]
    fn every_reason_is_documented() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/conditions.md")).unwrap();
        for reason in ConditionReason::ALL {
            assert!(page.contains(&format!("`{}`", reason.as_str())), "{} is not explained", reason.as_str());
        }
    }
}
