//! The verbs by which the engine and the web change what is stored.

use super::{Charge, Period, StoreError};
use crate::engine::{Copy, CycleChange, Effect, History, Subject, Voice};
use crate::model::{
    Address, AddressHash, ClickVerdict, Contact, CopyId, Deal, EffectKey, EffectRef, EffectStatus, FunnelKey, InboxEvent, Manager,
    ManagerId, Medium, Outcome, Purpose, SignalSubject, Suppression,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

type Result<T> = std::result::Result<T, StoreError>;

/// Proof of being the one engine. Every fenced verb locks its row first and fails with [`StoreError::LeaseLost`] when the epoch
/// has moved on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub epoch: i64,
    pub owner: String,
    /// Open intents of earlier owners that the take-over turned into `unknown`.
    pub orphans: u64,
}

/// A copy whose moment has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    pub copy: CopyId,
    pub due_at: Timestamp,
}

/// Which subjects to load.
#[derive(Clone, Debug)]
pub enum Load {
    Copies(Vec<CopyId>),
    /// Copies of these deals of a connection, in every funnel.
    Deals {
        connection: String,
        ids: Vec<String>,
    },
    /// Copies of the people whom these contacts of a connection are, but for archived ones: whom news of a contact may concern.
    Contacts {
        connection: String,
        ids: Vec<String>,
    },
    /// Every copy of the client that the signal is about (all funnels, archived ones too).
    Signal(SignalSubject),
}

/// A copy with everything known of it, and whose deal it is.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The connection that its deal belongs to, which may not be the one that its funnel reads today.
    pub connection: String,
    pub subject: Subject,
}

impl std::ops::Deref for Loaded {
    type Target = Subject;

    fn deref(&self) -> &Subject {
        &self.subject
    }
}

impl std::ops::DerefMut for Loaded {
    fn deref_mut(&mut self) -> &mut Subject {
        &mut self.subject
    }
}

/// What the journal knows of a deal without loading it: enough to tell an unchanged one.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub id: String,
    pub hash: i64,
    /// `Deal::updated_at` of the stored state: an older page never overwrites a newer one.
    pub updated_at: Option<Timestamp>,
    pub deleted: bool,
}

/// How far a CRM connection was read, and what was wrong in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cursor {
    /// The connector's own position, opaque to everyone else.
    pub position: serde_json::Value,
    /// When the connection was last read to its end.
    pub read_at: Option<Timestamp>,
    /// Whether a full look was ever finished (the first import).
    pub complete: bool,
    /// Between two pages of a look. Where it stands so after a crash or an error, the look begins again.
    pub looking: bool,
    /// Rows seen in the last full look.
    pub rows: u64,
    /// Bad rows by kind, with their first examples.
    pub findings: Vec<Finding>,
    /// Pipelines of the last full look with their stages, as many as people read.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pipelines: BTreeMap<String, BTreeSet<String>>,
    /// Why the last attempt failed, in words.
    pub error: Option<String>,
    /// Who has met every deal of this connection: funnels with their pipelines. A funnel that comes later makes it look again.
    pub met: Vec<String>,
    /// For whom the look under way began: who comes in its middle has missed its first pages.
    pub meeting: Vec<String>,
    /// All contacts that can be read were read by a version that weighs what they say of one address together.
    pub weighed: bool,
}

/// One kind of bad input, counted, with its first examples. Holds positions and ids, never values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: String,
    pub count: u64,
    /// `contacts.csv:17: the phone is not a number; write it like +79991234567`
    pub examples: Vec<String>,
}

/// Rows read from a CRM, stored in the same transaction as what they led to.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub connection: String,
    pub contacts: Vec<Contact>,
    pub managers: Vec<Manager>,
    /// People of whom the CRM tells no more: their rows and addresses are forgotten, and what they said of consent. Who a contact was is
    /// remembered, for deals that still name it and for when it comes back.
    pub gone_contacts: Vec<String>,
    pub gone_managers: Vec<ManagerId>,
    /// Changed or new deals, with the hash of their canonical form.
    pub deals: Vec<(Deal, i64)>,
    /// `None`: unchanged (more pages follow).
    pub cursor: Option<Cursor>,
}

/// What the engine decided about one copy.
#[derive(Clone, Debug)]
pub struct Change {
    /// After the decision. `id` 0: a new copy of `deal`; `ver` is the version decided on (0 for new ones).
    pub copy: Copy,
    pub connection: String,
    pub deal: String,
    pub effects: Vec<NewEffect>,
    pub history: Vec<History>,
    pub cycle: Vec<CycleChange>,
}

/// An effect to be written down, with what must be fixed from now on.
#[derive(Clone, Debug)]
pub struct NewEffect {
    pub effect: Effect,
    /// `Intended` for messages that this process hands over at once; `Planned` for write-backs and whatever waits;
    /// `Skipped` for skips.
    pub status: EffectStatus,
    pub brand: String,
    /// `namespace/name` of the policy whose caps it counts for.
    pub policy: String,
    pub revision: i64,
    /// SHA-256 (base64url) of the rendered body: never rendered again.
    pub body_hash: Option<String>,
    /// Rendered targets of its links, in the order of their numbers.
    pub links: Vec<String>,
    /// Codes of its short links: keyed hashes, in the order of `links`.
    pub codes: Vec<String>,
    /// What a worker needs to perform it later: rendered message or write-back (JSON). Of a message that leaves at once the store
    /// keeps nothing, unless `resend` says so; of one that a hold stops it keeps this.
    pub payload: Option<String>,
    /// A message whose channel sends again by itself when nobody can say whether it was accepted: the store keeps its payload until
    /// the outcome is known.
    pub resend: bool,
    /// What it costs, if that is known.
    pub charge: Option<Charge>,
    /// Where it goes, for limiters and holds: name of the channel or connection.
    pub target: String,
    pub not_before: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

/// One transaction of the engine.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub now: Option<Timestamp>,
    pub page: Option<Page>,
    pub changes: Vec<Change>,
    /// Inbox rows that these changes consume.
    pub consumed: Vec<i64>,
    /// Inbox rows that wait on.
    pub put_off: Vec<PutOff>,
    /// Suppressions and consents that follow (hard bounces, refusals).
    pub suppress: Vec<Suppression>,
}

/// An inbox row that cannot be taken now: it comes back at `until`, with what is left of its event by then.
#[derive(Clone, Debug)]
pub struct PutOff {
    pub id: i64,
    pub until: Timestamp,
    pub event: InboxEvent,
}

/// What became of a batch.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Copies whose version had moved on: nothing of their change is stored; load and decide again.
    pub stale: Vec<CopyId>,
    /// Effects that exist already (same natural key): the copy's state is stored, the effect must not be performed.
    pub conflicts: Vec<EffectRef>,
    /// Effects refused because their channel, funnel or everything is on hold: stored as `Planned` with no attempt made.
    pub held: Vec<EffectRef>,
    /// Ids given to new copies, in the order of the changes that had id 0.
    pub created: Vec<CopyId>,
    /// Funnels of which a newer revision is in force than the one that their messages were decided on: somebody else published it.
    pub outdated: BTreeSet<FunnelKey>,
}

/// Something that arrives from outside, stored at once and unfenced, with what must hold from that moment.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Dedupe key: `(source, id)` is stored once.
    pub source: String,
    pub id: String,
    pub event: InboxEvent,
    pub received_at: Timestamp,
    /// The engine does not look at it earlier (a click whose verdict is open). `None`: at once, even if the clock that says `received_at`
    /// is ahead of the engine's.
    pub not_before: Option<Timestamp>,
    /// In the same transaction: an unsubscription holds from its arrival.
    pub suppress: Vec<Suppression>,
    /// In the same transaction: the raw hit.
    pub click: Option<Clicked>,
}

/// One hit on a tracked link.
#[derive(Clone, Debug, PartialEq)]
pub struct Clicked {
    pub effect: EffectRef,
    pub link: i16,
    pub at: Timestamp,
    /// `None`: not yet known.
    pub verdict: Option<ClickVerdict>,
    /// Why it was judged so.
    pub why: String,
}

#[derive(Clone, Debug)]
pub struct InboxRow {
    pub id: i64,
    /// Stays text until it is parsed, so that a poison row can be shown and set aside.
    pub event: std::result::Result<InboxEvent, String>,
    pub received_at: Timestamp,
    /// How often it was handed out before to a process that has not said that it [`lived`](Journal::lived).
    pub attempts: i32,
}

/// An outbox row whose time has come: a write-back, or a message that certainly was not accepted before.
#[derive(Clone, Debug)]
pub struct Outbox {
    pub effect: EffectRef,
    pub key: EffectKey,
    pub funnel: FunnelKey,
    /// `message`, `move`, `comment`, `task`, `notify`.
    pub kind: String,
    pub target: String,
    pub payload: String,
    /// How often it was started before.
    pub attempt: i32,
    pub expires_at: Option<Timestamp>,
    pub connection: String,
    pub deal: String,
    pub due_at: Timestamp,
}

/// A fact about an attempt.
#[derive(Clone, Debug)]
pub struct Mark {
    pub effect: EffectRef,
    pub attempt: i32,
    pub outcome: Outcome,
    pub at: Timestamp,
    /// For `Retry`, `ChannelDown` and `NotStarted`: when and with what to try again. For `Unknown`: the text, which is sent again
    /// if the effect's channel resends, and otherwise kept for whoever resolves it by hand.
    pub next: Option<NextAttempt>,
}

#[derive(Clone, Debug)]
pub struct NextAttempt {
    pub at: Timestamp,
    /// The rendered message, so that it is never rendered again.
    pub payload: String,
}

/// What a person found out about a message of which nobody could say whether it was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The provider has it.
    Accepted,
    /// The provider does not have it, and it must not go out any more.
    Dropped,
    /// The provider does not have it: send the same text again. Only while the store has the text.
    Resend,
}

/// What the web needs to know of an effect.
#[derive(Clone, Debug)]
pub struct EffectInfo {
    pub effect: EffectRef,
    pub key: EffectKey,
    pub funnel: FunnelKey,
    /// Whom it was written to: its deal may belong to somebody else by now.
    pub client: crate::model::ClientId,
    pub brand: String,
    pub medium: Option<Medium>,
    pub purpose: Purpose,
    pub status: EffectStatus,
    pub at: Timestamp,
    pub links: Vec<String>,
    /// `namespace/name` of the channel it left through.
    pub target: String,
    /// Earlier hits on its links, the newest 256: (link, at).
    pub hits: Vec<(i16, Timestamp)>,
}

/// What may be stopped by hand, in SQL, obeyed with the API server down.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HoldScope {
    All,
    Channel(String),
    Funnel(FunnelKey),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    pub scope: HoldScope,
    pub since: Timestamp,
    pub by: String,
    pub reason: String,
}

/// One immutable, validated version of a funnel with everything it refers to; no secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    pub funnel: FunnelKey,
    pub number: i64,
    pub published_at: Timestamp,
    /// The resources as JSON, input of `compile`.
    pub snapshot: serde_json::Value,
    /// The funnel was deleted: nothing more is sent, its history stays.
    pub deleted: bool,
}

/// Where a row came from, for dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Inbox,
    /// The id is the copy's; this is the number of the effect within it.
    Outbox(i32),
    Copy,
}

/// The write side. All times come from the caller's clock, except lease times, which are the database's.
#[async_trait::async_trait]
pub trait Journal: Send + Sync {
    /// Names an address without showing it. Stable for the life of the installation.
    fn address_hash(&self, address: &Address) -> AddressHash;

    /// 32 random bytes made when the database was created; subkeys for tokens and hashes are derived from it.
    fn secret(&self) -> [u8; 32];

    /// Another address of the same database, with a new user or password, for the connections that are opened from now on. Refused when
    /// it names another database.
    fn readdress(&self, _address: &str) -> Result<()> {
        Ok(())
    }

    /// Takes the engine lease if it is free or expired. Then, in a second statement of the same transaction, turns the open
    /// intents of earlier epochs into `unknown` (write-backs and messages of channels that resend go back to waiting; a held message
    /// whose text was only in the memory of the former owner becomes `failed`). `None`: another engine has it.
    async fn take(&self, owner: &str, ttl: Duration) -> Result<Option<Lease>>;
    /// Extends the lease; false: it is lost.
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool>;
    /// Gives it up, so that another takes over at once.
    async fn release(&self, lease: &Lease) -> Result<()>;
    /// What time it is at the database, if that has a clock of its own: PostgreSQL. SQLite and the model run on ours.
    async fn time(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    /// Copies due at `now`, oldest first, above the low watermark `low` (kept by the caller; `None`: a full sweep).
    async fn due(&self, now: Timestamp, low: Option<Timestamp>, limit: u32) -> Result<Vec<Due>>;
    /// The earliest moment at which copies, inbox or outbox need the engine. For sleeping and for virtual clocks.
    async fn next_due(&self) -> Result<Option<Timestamp>>;
    /// Everything known about these copies. Unknown ids are left out.
    async fn fetch(&self, what: &Load, now: Timestamp) -> Result<Vec<Loaded>>;
    /// The same, for whoever does not ask where the deals come from.
    async fn load(&self, what: &Load, now: Timestamp) -> Result<Vec<Subject>> {
        Ok(self.fetch(what, now).await?.into_iter().map(|loaded| loaded.subject).collect())
    }
    /// For telling unchanged deals: in the order asked, unknown ones left out.
    async fn stored(&self, connection: &str, ids: &[String]) -> Result<Vec<Stored>>;
    /// Ids of a connection that are not deleted, by pages in the database's order, for a full look to find what is gone: `after`
    /// is the last id of the page before, empty for the first.
    async fn deal_ids(&self, connection: &str, after: &str, limit: u32) -> Result<Vec<String>>;
    /// The same of contacts.
    async fn contact_ids(&self, connection: &str, after: &str, limit: u32) -> Result<Vec<String>>;
    async fn contacts(&self, connection: &str, ids: &[String]) -> Result<Vec<Contact>>;
    async fn managers(&self, connection: &str) -> Result<Vec<Manager>>;
    async fn cursor(&self, connection: &str) -> Result<Cursor>;
    /// Outside a batch: when reading failed.
    async fn set_cursor(&self, lease: &Lease, connection: &str, cursor: &Cursor) -> Result<()>;

    /// Events consumed, CRM rows taken over, copies updated and effects written, in one fenced transaction.
    async fn commit(&self, lease: &Lease, batch: Batch) -> Result<Commit>;

    /// Unfenced; returns for each whether it was new.
    async fn receive(&self, incoming: Vec<Incoming>) -> Result<Vec<bool>>;
    async fn inbox(&self, now: Timestamp, limit: u32) -> Result<Vec<InboxRow>>;
    /// Inbox rows whose time comes after `after` and not after `until`. To look at: it counts as no attempt.
    async fn inbox_ahead(&self, after: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<InboxRow>>;
    /// These rows were handed out and did not end the process: none of their attempts counts. Those that are consumed are no matter.
    async fn lived(&self, rows: &[i64]) -> Result<()>;
    /// Sets a row aside, visibly, when it cannot be processed.
    async fn bury(&self, lease: &Lease, source: Source, id: i64, error: &str, now: Timestamp) -> Result<()>;

    /// Outbox rows whose time has come, in order within a deal; marks nothing.
    async fn outbox(&self, now: Timestamp, limit: u32) -> Result<Vec<Outbox>> {
        self.outbox_beside(&[], None, now, limit).await
    }
    /// The same without write-backs to connections that are `busy`, and without messages that were due before `low` (kept by the caller,
    /// who knows them to be on hold; `None`: a full sweep).
    async fn outbox_beside(&self, busy: &[String], low: Option<Timestamp>, now: Timestamp, limit: u32) -> Result<Vec<Outbox>>;
    /// Fenced: these outbox rows are about to be handed over (attempt + 1, status `Intended`). Returns those that still may be.
    async fn start(&self, lease: &Lease, effects: &[EffectRef], now: Timestamp) -> Result<Vec<EffectRef>>;
    /// Unfenced facts, merged monotonically. Receipts use it too (attempt -1: any).
    async fn mark(&self, marks: Vec<Mark>) -> Result<()>;
    /// A receipt that names only the provider's own id. `None`: no mark brought that id yet; the receipt is kept and merged by the
    /// mark that does. `provider` as in [`super::qualified`]; an id that the version before wrote under the bare name is found, too.
    async fn receipt(&self, provider: &str, id: &str, outcome: Outcome, at: Timestamp) -> Result<Option<EffectRef>>;
    /// A person's word about messages in `unknown`, unfenced. Returns those it was applied to: others were settled meanwhile, or
    /// their text is gone ([`Resolution::Resend`]).
    async fn resolve(&self, effects: &[EffectRef], how: Resolution, now: Timestamp) -> Result<Vec<EffectRef>>;
    /// How many hand-overs of messages were ever written down.
    async fn intents(&self) -> Result<i64>;
    /// Fenced, after a database was restored: counts on from `to`, if the count is not there yet, and gives no id of a copy, client or
    /// message that it may have given since it was copied. What is stored keeps its ids. A decision made before fails as a former owner's.
    async fn raise_intents(&self, lease: &Lease, to: i64, now: Timestamp) -> Result<()>;
    /// Fenced: forgets some of what has become useless (ids of old events, expired links, raw hits, providers' numbers, dead
    /// letters, texts kept for a person, what deals long gone said); true: there may be more. The model forgets nothing.
    async fn purge(&self, _lease: &Lease, _now: Timestamp) -> Result<bool> {
        Ok(false)
    }
    /// What was spent in these periods, in the order asked.
    async fn spent(&self, periods: &[Period]) -> Result<Vec<i64>>;
    /// One more look at suppressions that arrived since the intent: those of `effects` that must not leave.
    async fn suppressed(&self, effects: &[EffectRef]) -> Result<Vec<EffectRef>>;

    /// Effects with what clicks and unsubscriptions need, in the order asked; unknown ones are left out.
    async fn effects(&self, effects: &[EffectRef]) -> Result<Vec<EffectInfo>>;
    /// One of them.
    async fn effect(&self, effect: EffectRef) -> Result<Option<EffectInfo>> {
        Ok(self.effects(&[effect]).await?.pop())
    }
    /// Short links by the keyed hashes of their codes: effect and link number. Unknown ones are left out.
    async fn codes(&self, hashes: &[String]) -> Result<HashMap<String, (EffectRef, i16)>>;
    /// The effect a provider's own id belongs to.
    async fn by_provider_id(&self, provider: &str, id: &str) -> Result<Option<EffectRef>>;
    /// Final verdicts for raw hits whose burst window is over; human ones also set the ledger's `clicked_at`.
    async fn judge(&self, hits: &[Clicked]) -> Result<()>;

    async fn holds(&self) -> Result<Vec<Hold>>;
    async fn hold(&self, hold: Hold) -> Result<()>;
    /// False: there was none.
    async fn release_hold(&self, scope: &HoldScope) -> Result<bool>;

    /// Stores a revision if it differs from the newest one; returns the number in force.
    /// `voice`, which the snapshot says as well, is kept where copies of other funnels see it.
    async fn publish(&self, funnel: &FunnelKey, voice: &Voice, snapshot: &serde_json::Value, now: Timestamp) -> Result<i64>;
    /// Marks a funnel as deleted (its newest revision gets a tombstone).
    async fn retire(&self, funnel: &FunnelKey, now: Timestamp) -> Result<()>;
    /// The newest revision of every funnel.
    async fn revisions(&self) -> Result<Vec<Revision>>;
    /// When the funnel was first published.
    async fn first_published(&self, funnel: &FunnelKey) -> Result<Option<Timestamp>>;
    /// Copies of a funnel by pages of ids, for replanning: `after` is the last id of the page before.
    async fn copies_of(&self, funnel: &FunnelKey, after: CopyId, limit: u32) -> Result<Vec<CopyId>>;
    /// The next `limit` Backfill copies of a funnel whose deals were lost at `lost_since` or later, oldest loss last. Those lost earlier, or
    /// nobody knows when, wait in vain: they are counted, but stand in nobody's way.
    async fn backfill(&self, funnel: &FunnelKey, lost_since: Timestamp, limit: u32) -> Result<Vec<CopyId>>;
}
