//! `/hooks/{namespace}/{channel}/{provider}/receipt` and `…/inbound`: what SMS providers report to us, by GET or POST. The
//! channel's key (`k` in the query or last in the path) opens them; how a report is read is the channel's business ([`Hooks`]).

use super::{
    WebState,
    body::SMALL,
    form,
    metrics::{HowLabels, ResultLabels},
    pages::{Language, Page},
    reply,
};
use crate::{
    links::{HookPath, hook_key_matches},
    model::{
        Address, EffectRef, InboxEvent, Medium, Outcome, Phone, SignalKind, SignalSubject, Suppression, SuppressionReason,
        SuppressionScope, Text, stable_hash,
    },
    store::{Incoming, qualified},
};
use axum::{
    body::{Body, Bytes},
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use jiff::Timestamp;
use serde::Deserialize;
use std::sync::Arc;

/// One report as it came.
#[derive(Clone)]
pub struct HookRequest {
    /// `namespace/name` of the `MessageChannel`.
    pub channel: String,
    /// Name of the provider within it.
    pub provider: String,
    pub query: Vec<(String, String)>,
    /// Pairs of a urlencoded body.
    pub form: Vec<(String, String)>,
    pub body: Bytes,
}

/// Which message a receipt is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptOf {
    Effect(EffectRef),
    /// The provider's own id.
    ProviderId(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct ParsedReceipt {
    pub of: ReceiptOf,
    pub outcome: Outcome,
}

/// What a message from a client means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboundKind {
    Stop,
    Reply,
    /// Nothing that anyone said: an autoreply, an empty message.
    Ignored,
}

#[derive(Clone)]
pub struct ParsedInbound {
    pub from: Phone,
    pub text: Text,
    /// The provider's id of this message; or of ours that it answers, or of the conversation.
    pub id: Option<String>,
    pub kind: InboundKind,
}

/// What the provider wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookAnswer {
    pub content_type: &'static str,
    pub body: String,
}

impl Default for HookAnswer {
    fn default() -> Self {
        Self { content_type: "text/plain; charset=utf-8", body: String::new() }
    }
}

/// Why a report is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// No such channel or provider, or it reports nothing of this kind.
    #[error("no such channel or provider")]
    Unknown,
    /// It does not look like a report of this provider.
    #[error("not a report of this provider")]
    Unreadable,
    /// Its key is right, but this process was not told yet how the channel is read, or the channel is there and cannot be opened.
    #[error("the channel is not open")]
    NotOpen,
}

impl HookError {
    /// Stable name for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown_channel",
            Self::Unreadable => "unreadable",
            Self::NotOpen => "not_open",
        }
    }
}

/// How the channels read what their providers report. Several receipts may come in one request; none means that this report
/// says nothing final, or that nobody's client wrote.
pub trait Hooks: Send + Sync {
    fn receipts(&self, request: &HookRequest) -> Result<(Vec<ParsedReceipt>, HookAnswer), HookError>;
    fn inbound(&self, request: &HookRequest) -> Result<(Vec<ParsedInbound>, HookAnswer), HookError>;
}

/// For installations without channels that report.
pub struct NoHooks;

impl Hooks for NoHooks {
    fn receipts(&self, _: &HookRequest) -> Result<(Vec<ParsedReceipt>, HookAnswer), HookError> {
        Err(HookError::Unknown)
    }

    fn inbound(&self, _: &HookRequest) -> Result<(Vec<ParsedInbound>, HookAnswer), HookError> {
        Err(HookError::Unknown)
    }
}

/// A struct of the path's parts, so that both routes share one handler.
#[derive(Deserialize)]
pub(super) struct HookParts {
    namespace: String,
    channel: String,
    provider: String,
    kind: String,
    /// For providers that mangle queries; else `k` of the query.
    key: Option<String>,
}

pub(super) async fn report(
    State(web): State<Arc<WebState>>,
    parts: Result<Path<HookParts>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Ok(Path(HookParts { namespace, channel, provider, kind, key })) = parts else { return not_found(&web, &headers) };
    let channel = format!("{namespace}/{channel}");
    let mut query = form::parse(query.unwrap_or_default().as_bytes());
    // A channel's rules never see the key.
    let key = key.or_else(|| query.iter().position(|(name, _)| name == "k").map(|at| query.remove(at).1)).unwrap_or_default();
    let path = [HookPath::Receipt, HookPath::Inbound].into_iter().find(|p| p.as_str() == kind.as_str());
    let Some(path) = path.filter(|_| hook_key_matches(&web.secret, &channel, &key)) else {
        return not_found(&web, &headers);
    };
    let Some(body) = web.room.read(body, SMALL).await else { return reply::plain(StatusCode::PAYLOAD_TOO_LARGE, "too large\n") };
    let urlencoded = headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|t| t.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
    let form = if urlencoded { form::parse(&body.bytes) } else { Vec::new() };
    let request = HookRequest { channel, provider, query, form, body: body.bytes };
    match path {
        HookPath::Receipt => receipts(&web, &request).await,
        HookPath::Inbound => inbound(&web, &request).await,
    }
}

/// A wrong key and a wrong address look the same.
fn not_found(web: &WebState, headers: &HeaderMap) -> Response {
    reply::page(StatusCode::NOT_FOUND, Language::of(headers, &web.settings().language), &Page::NotFound)
}

fn refused(error: HookError) -> Response {
    match error {
        HookError::Unknown => reply::plain(StatusCode::NOT_FOUND, "no such channel or provider\n"),
        HookError::Unreadable => {
            reply::plain(StatusCode::BAD_REQUEST, "not a report of this provider: `rekindle hooks` says which fields are read\n")
        }
        HookError::NotOpen => reply::plain(StatusCode::SERVICE_UNAVAILABLE, "the channel is not open; try again later\n"),
    }
}

async fn receipts(web: &WebState, request: &HookRequest) -> Response {
    let count = |result| web.metrics.receipts.get_or_create(&ResultLabels { result }).inc();
    let (parsed, answer) = match web.hooks.receipts(request) {
        Ok(parsed) => parsed,
        Err(error) => {
            count(error.label());
            return refused(error);
        }
    };
    let now = web.now();
    let mut incoming = Vec::new();
    for ParsedReceipt { of, outcome } in parsed {
        let effect = match of {
            ReceiptOf::Effect(effect) => match web.effects.channel(effect).await {
                Ok(Some(channel)) if channel == request.channel => Some(effect),
                // The key opens one channel: about messages of others it says nothing.
                Ok(_) => {
                    count("foreign");
                    continue;
                }
                Err(error) => {
                    web.metrics.store_error(error.label());
                    return reply::plain(StatusCode::SERVICE_UNAVAILABLE, "try again later\n");
                }
            },
            // It may overtake the mark that brings this id: then the store keeps it until that mark comes.
            ReceiptOf::ProviderId(id) => {
                let provider = qualified(&request.channel, &request.provider);
                match web.journal.receipt(&provider, &id, outcome.clone(), now).await {
                    Ok(effect) => effect,
                    Err(error) => {
                        web.metrics.store_error(error.label());
                        return reply::plain(StatusCode::SERVICE_UNAVAILABLE, "try again later\n");
                    }
                }
            }
        };
        match effect {
            Some(effect) => incoming.push(receipt(request, effect, outcome, now)),
            None => {
                count("early");
            }
        }
    }
    let matched = incoming.len();
    if let Err(response) = store(web, incoming).await {
        return response;
    }
    for _ in 0..matched {
        count("stored");
    }
    reply::text(StatusCode::OK, answer.content_type, answer.body)
}

fn receipt(request: &HookRequest, effect: EffectRef, outcome: Outcome, now: Timestamp) -> Incoming {
    let word = match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Delivered => "delivered",
        Outcome::Retry { .. } => "retry",
        Outcome::Rejected { .. } => "rejected",
        Outcome::ChannelDown { .. } => "channel_down",
        Outcome::Unknown { .. } => "unknown",
        Outcome::NotStarted => "not_started",
        Outcome::Expired => "expired",
    };
    Incoming {
        source: format!("receipt:{}/{}", request.channel, request.provider),
        // Providers repeat themselves: the same fact about the same message is one event.
        id: format!("{effect}:{word}"),
        event: InboxEvent::Receipt { effect, outcome, at: now },
        received_at: now,
        not_before: None,
        suppress: Vec::new(),
        click: None,
    }
}

async fn inbound(web: &WebState, request: &HookRequest) -> Response {
    let count = |result| web.metrics.inbound.get_or_create(&ResultLabels { result }).inc();
    let (parsed, answer) = match web.hooks.inbound(request) {
        Ok(parsed) => parsed,
        Err(error) => {
            count(error.label());
            return refused(error);
        }
    };
    if parsed.is_empty() {
        count("ignored");
    }
    let now = web.now();
    let mut incoming = Vec::new();
    let mut kinds = Vec::new();
    for message in parsed {
        if message.kind == InboundKind::Ignored {
            count("ignored");
            continue;
        }
        kinds.push(message.kind);
        incoming.push(message_event(web, request, message, now));
    }
    let fresh = match store(web, incoming).await {
        Ok(fresh) => fresh,
        Err(response) => return response,
    };
    for (kind, fresh) in kinds.into_iter().zip(fresh) {
        match kind {
            _ if !fresh => count("duplicate"),
            InboundKind::Stop => {
                count("stop");
                web.metrics.unsubscribes.get_or_create(&HowLabels { how: "stop" }).inc()
            }
            InboundKind::Reply | InboundKind::Ignored => count("reply"),
        };
    }
    reply::text(StatusCode::OK, answer.content_type, answer.body)
}

fn message_event(web: &WebState, request: &HookRequest, message: ParsedInbound, now: Timestamp) -> Incoming {
    let address = Address::Phone(message.from.clone());
    let hash = web.journal.address_hash(&address);
    let (number, words) = (hash.0.as_bytes(), message.text.0.as_bytes());
    let id = if let Some(id) = message.id.filter(|id| !id.is_empty() && id.len() <= 256) {
        // It may be the id of our message, or of the conversation: a STOP behind other words is no repeat of them.
        format!("{id}:{:016x}", stable_hash(&[number, words]))
    } else {
        // The same words of the same number within a minute are one message.
        let minute = now.as_second().div_euclid(60);
        format!("{:016x}", stable_hash(&[number, words, &minute.to_be_bytes()]))
    };
    let subject = SignalSubject { phone: Some(message.from), ..SignalSubject::default() };
    let (event, suppress) = match message.kind {
        InboundKind::Stop => {
            let suppression = Suppression {
                scope: SuppressionScope::Address(hash),
                brand: None,
                medium: Some(Medium::Sms),
                purpose: None,
                reason: SuppressionReason::Stop,
                at: now,
            };
            (InboxEvent::Unsubscribe { subject, at: now, only: None }, vec![suppression])
        }
        InboundKind::Reply | InboundKind::Ignored => {
            let text = Text(message.text.0.chars().filter(|c| *c != '\0').take(4_000).collect());
            (InboxEvent::Signal { kind: SignalKind::Reply, subject, at: now, text: Some(text), reaction: None }, Vec::new())
        }
    };
    Incoming {
        source: format!("sms:{}/{}", request.channel, request.provider),
        id,
        event,
        received_at: now,
        not_before: None,
        suppress,
        click: None,
    }
}

/// For each, whether it is new.
async fn store(web: &WebState, incoming: Vec<Incoming>) -> Result<Vec<bool>, Response> {
    if incoming.is_empty() {
        return Ok(Vec::new());
    }
    web.store(incoming).await.map_err(|error| {
        web.metrics.store_error(error.label());
        reply::plain(StatusCode::SERVICE_UNAVAILABLE, "try again later\n")
    })
}
