//! `POST /v1/signals`: calls, chats, forms and the like from telephony, sites and CRMs, as `CloudEvents` of the type
//! `dev.rekindle.signal.KIND`. Each is stored once, by its (source, id).

use super::{
    Settings, WebState,
    body::LARGE,
    cloudevents::{self, Envelope, Problem, Unreadable},
    hooks::InboundKind,
    metrics::{HowLabels, SignalLabels},
    providers::meaning,
    reply,
};
use crate::{
    model::{
        Address, ClientId, Email, InboxEvent, Phone, Purpose, Reaction, SignalKind, SignalSubject, Suppression, SuppressionReason,
        SuppressionScope, Text,
    },
    store::{Incoming, Load, StoreError},
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::Response,
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeSet, sync::Arc};

/// Begins every type of ours.
const TYPE: &str = "dev.rekindle.signal";
/// How far a sender's clock may be ahead of ours.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// Older signals cannot change anything any more.
const OLDEST: SignedDuration = SignedDuration::from_hours(24 * 366);
/// Characters of a text that are kept.
const TEXT: usize = 4_000;

/// What became of one event.
#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// `accepted`, `duplicate`, `rejected`.
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

pub(super) async fn receive(State(web): State<Arc<WebState>>, headers: HeaderMap, body: Body) -> Response {
    let settings = web.settings();
    if !authorised(&settings, &headers) {
        return reply::problem(
            StatusCode::UNAUTHORIZED,
            "the bearer token is missing or not one of ours",
            "send \"Authorization: Bearer TOKEN\" with a token of the installation's configuration",
        );
    }
    let Some(body) = web.room.read(body, LARGE).await else {
        return reply::problem(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 1 MiB", "send smaller batches");
    };
    let events = match cloudevents::read(&headers, &body.bytes) {
        Ok(events) => events,
        Err(error @ Unreadable::ContentType) => {
            return reply::problem(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                &error.to_string(),
                "send application/cloudevents+json, application/cloudevents-batch+json, or ce- headers with a JSON body",
            );
        }
        Err(error @ Unreadable::Body(_)) => {
            return reply::problem(StatusCode::BAD_REQUEST, &error.to_string(), "see the CloudEvents JSON format 1.0");
        }
    };
    let now = web.now();
    let mut parsed: Vec<Result<Heard, Problem>> =
        events.into_iter().map(|event| event.and_then(|event| signal(event, &settings, now))).collect();
    let all = parsed.len();
    if !settings.known {
        parsed.retain(|event| match event {
            Ok(heard) => !may_mean_stop(heard),
            Err(problem) => ![NO_CONNECTION, NO_SUCH_CONNECTION].contains(&problem.what.as_str()),
        });
    }
    let waits = parsed.len() < all;
    match store(&web, &parsed).await {
        Ok(fresh) => {
            let answer = answer(&web, parsed, fresh);
            if waits {
                return reply::problem(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "this process has just started and does not know yet which CRM connections are in force, and which words announced for stopping",
                    "send all of it again later; what is stored already is then a duplicate",
                );
            }
            answer
        }
        Err(error) => {
            web.metrics.store_error(error.label());
            reply::problem(StatusCode::SERVICE_UNAVAILABLE, "the signals cannot be stored now", "send them again later")
        }
    }
}

/// One event that can be read.
struct Heard {
    id: String,
    kind: SignalKind,
    /// `None`: a phone or an operator answered by itself; nobody said anything.
    incoming: Option<Incoming>,
}

/// What a process that knows of no connections yet would answer.
const NO_CONNECTION: &str = "there is no CRM connection that could know this deal or contact";
const NO_SUCH_CONNECTION: &str = "data.connection names no CRM connection";

/// Words that mean nothing to everybody: they could be those that our texts announce for stopping.
const fn may_mean_stop(heard: &Heard) -> bool {
    matches!(&heard.incoming, Some(Incoming { event: InboxEvent::Signal { kind: SignalKind::Reply, text: Some(_), .. }, .. }))
}

/// For each that is stored, whether it is new. Who asked for no more messages gets none from this moment on.
async fn store(web: &WebState, parsed: &[Result<Heard, Problem>]) -> Result<Vec<bool>, StoreError> {
    let mut incoming: Vec<Incoming> =
        parsed.iter().filter_map(|p| p.as_ref().ok()).filter_map(|heard| heard.incoming.clone()).collect();
    for one in &mut incoming {
        if let InboxEvent::Unsubscribe { subject, .. } = &one.event {
            one.suppress = suppressions(web, subject, one.received_at).await?;
        }
    }
    if incoming.is_empty() { Ok(Vec::new()) } else { web.store(incoming).await }
}

/// As by STOP in an SMS: the address gets nothing any more. Where the sender knows the person only by the CRM's ids, the person gets no
/// advertising.
async fn suppressions(web: &WebState, subject: &SignalSubject, at: Timestamp) -> Result<Vec<Suppression>, StoreError> {
    let phone = subject.phone.clone().map(Address::Phone);
    let addresses: Vec<Address> = phone.into_iter().chain(subject.email.clone().map(Address::Email)).collect();
    if addresses.is_empty() {
        let known = web.journal.load(&Load::Signal(subject.clone()), at).await?;
        let clients: BTreeSet<ClientId> = known.iter().filter_map(|subject| subject.client.id).collect();
        let suppression = |client| Suppression {
            scope: SuppressionScope::Client(client),
            brand: None,
            medium: None,
            purpose: Some(Purpose::Advertising),
            reason: SuppressionReason::Unsubscribed,
            at,
        };
        return Ok(clients.into_iter().map(suppression).collect());
    }
    let suppression = |address: Address| Suppression {
        scope: SuppressionScope::Address(web.journal.address_hash(&address)),
        brand: None,
        medium: Some(address.medium()),
        purpose: None,
        reason: SuppressionReason::Stop,
        at,
    };
    Ok(addresses.into_iter().map(suppression).collect())
}

/// 202 if anything was taken (or there was nothing to take), else 400; each event's own result beside it.
fn answer(web: &WebState, parsed: Vec<Result<Heard, Problem>>, fresh: Vec<bool>) -> Response {
    let mut fresh = fresh.into_iter();
    let mut counts = [0_usize; 3];
    let answers: Vec<Answer> = parsed
        .into_iter()
        .map(|event| {
            let (kind, index, answer) = match event {
                Ok(Heard { id, kind, incoming }) => {
                    let new = incoming.is_none() || fresh.next().unwrap_or(true);
                    if new && matches!(incoming, Some(Incoming { event: InboxEvent::Unsubscribe { .. }, .. })) {
                        web.metrics.unsubscribes.get_or_create(&HowLabels { how: "stop" }).inc();
                    }
                    let result = if new { "accepted" } else { "duplicate" };
                    (kind.as_str(), usize::from(!new), Answer { id: Some(id), result, error: None, help: None })
                }
                Err(Problem { id, what, help }) => {
                    ("unknown", 2, Answer { id, result: "rejected", error: Some(what), help: Some(help) })
                }
            };
            web.metrics.signals.get_or_create(&SignalLabels { kind, result: answer.result }).inc();
            if let Some(count) = counts.get_mut(index) {
                *count += 1;
            }
            answer
        })
        .collect();
    let [accepted, duplicates, rejected] = counts;
    let status = if rejected > 0 && accepted + duplicates == 0 { StatusCode::BAD_REQUEST } else { StatusCode::ACCEPTED };
    reply::json(
        status,
        &serde_json::json!({"accepted": accepted, "duplicates": duplicates, "rejected": rejected, "events": answers}),
    )
}

/// Compares with every token whatever matches first, so that time tells nothing.
fn authorised(settings: &Settings, headers: &HeaderMap) -> bool {
    let presented = headers
        .get(AUTHORIZATION)
        .and_then(|v| v.as_bytes().split_first_chunk::<7>())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
        .map_or(&b""[..], |(_, token)| token.trim_ascii());
    settings.tokens.iter().fold(false, |found, token| token.matches(presented) | found)
}

/// One event of ours out of one `CloudEvents` envelope.
fn signal(event: Envelope, settings: &Settings, now: Timestamp) -> Result<Heard, Problem> {
    let Envelope { id, source, kind, time, data } = event;
    match parse(&kind, time.as_deref(), &data, settings, now) {
        Ok((kind, event)) => {
            let incoming = event.map(|event| Incoming {
                source: format!("ce:{source}"),
                id: id.clone(),
                event,
                received_at: now,
                not_before: None,
                suppress: Vec::new(),
                click: None,
            });
            Ok(Heard { id, kind, incoming })
        }
        Err((what, help)) => Err(Problem { id: Some(id), what, help }),
    }
}

type Refusal = (String, String);

fn refuse<T>(what: impl Into<String>, help: impl Into<String>) -> Result<T, Refusal> {
    Err((what.into(), help.into()))
}

/// Its kind, and what it comes to: `None` is nothing.
fn parse(
    kind: &str,
    time: Option<&str>,
    data: &Value,
    settings: &Settings,
    now: Timestamp,
) -> Result<(SignalKind, Option<InboxEvent>), Refusal> {
    if !(data.is_object() || data.is_null()) {
        return refuse("data is not a JSON object", "write data like {\"deal\": \"1C1I7A6R\"}");
    }
    let kind = kind_of(kind, data)?;
    let at = time_of(time, now)?;
    let subject = subject(data, settings)?;
    let reaction = reaction(data)?;
    if kind == SignalKind::TaskClosed && reaction.is_none() {
        return refuse("data.reaction is missing", "write what the manager decided: Revived, Declined or GoOn");
    }
    if kind != SignalKind::TaskClosed && reaction.is_some() {
        return refuse(
            "data.reaction is only read with taskclosed",
            "leave it out; when the manager has decided, send taskclosed with it",
        );
    }
    let text = field(data, "text")?.map(|t| Text(t.chars().filter(|c| *c != '\0').take(TEXT).collect()));
    // The same words as by SMS mean the same.
    let own: Vec<&str> = settings.keywords.values().flatten().map(String::as_str).collect();
    let said = text.as_ref().filter(|_| kind == SignalKind::Reply).map(|text| meaning(&text.0, &own));
    let event = match said {
        Some(InboundKind::Stop) => Some(InboxEvent::Unsubscribe { subject, at, only: None }),
        Some(InboundKind::Ignored) => None,
        Some(InboundKind::Reply) | None => Some(InboxEvent::Signal { kind, subject, at, text, reaction }),
    };
    Ok((kind, event))
}

/// From the type's last word, or from `data.kind` when the type ends before it.
fn kind_of(kind: &str, data: &Value) -> Result<SignalKind, Refusal> {
    let help = || {
        let words: Vec<_> = accepted_kinds().map(|k| k.as_str().to_lowercase()).collect();
        format!("write the type {TYPE}.KIND with one of: {}", words.join(", "))
    };
    let lower = kind.to_ascii_lowercase();
    let word = match lower.strip_prefix(TYPE).map(|rest| rest.strip_prefix('.').unwrap_or(rest)) {
        None => return refuse(format!("the type does not begin with {TYPE}"), help()),
        Some("") => match field(data, "kind")? {
            Some(word) => word.to_ascii_lowercase(),
            None => return refuse("neither the type nor data.kind says what happened", help()),
        },
        Some(word) => word.to_owned(),
    };
    accepted_kinds()
        .find(|k| k.as_str().eq_ignore_ascii_case(&word))
        .ok_or_else(|| ("the kind of signal is unknown".into(), help()))
}

/// Clicks come from our own links only.
fn accepted_kinds() -> impl Iterator<Item = SignalKind> {
    SignalKind::ALL.into_iter().filter(|k| *k != SignalKind::Click)
}

fn time_of(time: Option<&str>, now: Timestamp) -> Result<Timestamp, Refusal> {
    let Some(text) = time else { return Ok(now) };
    let Ok(at) = text.parse::<Timestamp>() else {
        return refuse("time is not a moment", "write it like 2026-11-22T10:00:00Z, with its zone");
    };
    let age = now.duration_since(at);
    if age < -AHEAD {
        return refuse("time is in the future", "send a signal when it has happened, and check the sender's clock");
    }
    if age > OLDEST {
        return refuse("time is more than a year ago", "send only what can still matter");
    }
    Ok(at.min(now))
}

fn subject(data: &Value, settings: &Settings) -> Result<SignalSubject, Refusal> {
    let deal = field(data, "deal")?;
    let contact = field(data, "contact")?;
    let connection = match field(data, "connection")? {
        Some(name) => Some(connection(&name, settings)?),
        None if deal.is_some() || contact.is_some() => Some(only_connection(settings)?),
        None => None,
    };
    let region = connection.as_ref().and_then(|c| settings.connections.get(c)).unwrap_or(&settings.region);
    let phone = match field(data, "phone")? {
        Some(text) => Some(Phone::parse(&text, region).map_err(|e| (format!("data.phone is {e}"), "or leave it out".to_owned()))?),
        None => None,
    };
    let email = match field(data, "email")? {
        Some(text) => Some(Email::parse(&text).map_err(|e| (format!("data.email is {e}"), "or leave it out".to_owned()))?),
        None => None,
    };
    if deal.is_none() && contact.is_none() && phone.is_none() && email.is_none() {
        return refuse("data does not say who it is about", "give at least one of deal, contact, phone, email");
    }
    let of = |id: Option<String>| id.zip(connection.clone()).map(|(id, connection)| (connection, id));
    Ok(SignalSubject { deal: of(deal), contact: of(contact), phone, email, ..SignalSubject::default() })
}

/// `namespace/name`, or the bare name if only one connection has it.
fn connection(name: &str, settings: &Settings) -> Result<String, Refusal> {
    let named: Vec<&String> =
        settings.connections.keys().filter(|key| *key == name || key.rsplit('/').next() == Some(name)).collect();
    match named.as_slice() {
        [one] => Ok((*one).clone()),
        [] => refuse(NO_SUCH_CONNECTION, "write a connection as namespace/name"),
        _ => refuse("data.connection names several CRM connections", "write it as namespace/name"),
    }
}

fn only_connection(settings: &Settings) -> Result<String, Refusal> {
    let mut keys = settings.connections.keys();
    match (keys.next(), keys.next()) {
        (Some(one), None) => Ok(one.clone()),
        (None, _) => refuse(NO_CONNECTION, "send a phone or an email"),
        _ => refuse("data.connection is missing", "there are several CRM connections: write which one as namespace/name"),
    }
}

fn reaction(data: &Value) -> Result<Option<Reaction>, Refusal> {
    let Some(word) = field(data, "reaction")? else { return Ok(None) };
    [("revived", Reaction::Revived), ("declined", Reaction::Declined), ("goon", Reaction::GoOn)]
        .into_iter()
        .find(|(name, _)| word.eq_ignore_ascii_case(name))
        .map(|(_, reaction)| Some(reaction))
        .ok_or_else(|| ("data.reaction is unknown".into(), "write Revived, Declined or GoOn".into()))
}

/// A text (or a number, which ids often are) under `name`; empty means absent.
fn field(data: &Value, name: &str) -> Result<Option<String>, Refusal> {
    match data.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) if name != "text" && (text.len() > 512 || text.chars().any(char::is_control)) => {
            refuse(format!("data.{name} is too long or has control characters"), "write at most 512 plain characters")
        }
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => refuse(format!("data.{name} is not a text"), format!("write it like \"{name}\": \"…\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::{
        model::{InboxEvent, Reaction, SignalKind},
        web::Settings,
    };
    use jiff::Timestamp;
    use serde_json::{Value, json};

    fn settings(connections: &[&str]) -> Settings {
        Settings { connections: connections.iter().map(|c| ((*c).to_owned(), "RU".to_owned())).collect(), ..Settings::default() }
    }

    fn now() -> Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn kinds_in_every_spelling() {
        let one = settings(&["marketing/sales"]);
        for (kind, data, want) in [
            ("dev.rekindle.signal.inboundcall", json!({"deal": "7"}), SignalKind::InboundCall),
            ("dev.rekindle.signal.InboundCall", json!({"deal": 7}), SignalKind::InboundCall),
            ("dev.rekindle.signal", json!({"deal": "7", "kind": "missedCall"}), SignalKind::MissedCall),
            ("dev.rekindle.signal.booked", json!({"contact": "7"}), SignalKind::Booked),
            ("dev.rekindle.signal.taskclosed", json!({"deal": "7", "reaction": "goOn"}), SignalKind::TaskClosed),
        ] {
            let (_, event) = parse(kind, None, &data, &one, now()).unwrap();
            assert!(matches!(event, Some(InboxEvent::Signal { kind, .. }) if kind == want), "{kind} {event:?}");
        }
    }

    #[test]
    fn who_it_is_about() {
        let data = json!({"deal": "7", "connection": "sales", "phone": "8 (999) 123-45-67", "email": "A@B.ru", "text": " да\u{0} ",
            "reaction": "Declined"});
        let kind = "dev.rekindle.signal.taskclosed";
        let event = parse(kind, Some("2026-11-22T12:59:00+03:00"), &data, &settings(&["m/sales", "m/other"]), now());
        let Ok((_, Some(InboxEvent::Signal { subject, at, text, reaction, .. }))) = event else { panic!("{event:?}") };
        assert_eq!(subject.deal, Some(("m/sales".into(), "7".into())));
        assert_eq!(subject.phone.unwrap().as_str(), "+79991234567");
        assert_eq!(subject.email.unwrap().as_str(), "A@b.ru");
        assert_eq!((text.unwrap().0.as_str(), reaction), ("да", Some(Reaction::Declined)));
        assert_eq!(at, "2026-11-22T09:59:00Z".parse::<Timestamp>().unwrap());
    }

    #[test]
    fn refusals_say_what_to_write() {
        let chat = "dev.rekindle.signal.chat";
        let two = ["a/sales", "b/sales"];
        for (kind, time, data, connections, what) in [
            ("com.example.call", None, json!({"deal": "7"}), &two[..1], "the type does not begin"),
            ("dev.rekindle.signal", None, json!({"deal": "7"}), &two[..1], "neither the type"),
            ("dev.rekindle.signal.click", None, json!({"deal": "7"}), &two[..1], "the kind of signal is unknown"),
            ("dev.rekindle.signalling", None, json!({"deal": "7"}), &two[..1], "the kind of signal is unknown"),
            (chat, None, json!([]), &two[..1], "data is not"),
            (chat, None, Value::Null, &two[..1], "data does not say who"),
            (chat, None, json!({"deal": "  "}), &two[..1], "data does not say who"),
            (chat, None, json!({"deal": {"id": 7}}), &two[..1], "data.deal is not a text"),
            (chat, None, json!({"deal": "a\nb"}), &two[..1], "data.deal is too long"),
            (chat, None, json!({"deal": "7"}), &two[..0], "there is no CRM connection"),
            (chat, None, json!({"deal": "7"}), &two[..], "data.connection is missing"),
            (chat, None, json!({"deal": "7", "connection": "sales"}), &two[..], "data.connection names several"),
            (chat, None, json!({"deal": "7", "connection": "x"}), &two[..], "data.connection names no"),
            (chat, None, json!({"phone": "нет"}), &two[..], "data.phone is not a phone number"),
            (chat, None, json!({"email": "нет"}), &two[..], "data.email is not an email"),
            (chat, None, json!({"deal": "7", "reaction": "Maybe"}), &two[..1], "data.reaction is unknown"),
            (chat, Some("yesterday"), json!({"deal": "7"}), &two[..1], "time is not a moment"),
            (chat, Some("2026-11-22T11:00:00Z"), json!({"deal": "7"}), &two[..1], "time is in the future"),
            (chat, Some("1970-01-01T00:00:00Z"), json!({"deal": "7"}), &two[..1], "time is more than a year"),
            ("dev.rekindle.signal.taskclosed", None, json!({"deal": "7"}), &two[..1], "data.reaction is missing"),
            (chat, None, json!({"deal": "7", "reaction": "Declined"}), &two[..1], "data.reaction is only read with taskclosed"),
        ] {
            let (got, help) = parse(kind, time, &data, &settings(connections), now()).unwrap_err();
            assert!(got.starts_with(what) && !help.is_empty(), "{kind} {time:?} {data}: {got}");
            assert!(!got.contains("нет"), "a refusal repeats no value: {got}");
        }
    }

    #[test]
    fn a_clock_slightly_ahead_is_forgiven() {
        let event =
            parse("dev.rekindle.signal.chat", Some("2026-11-22T10:03:00Z"), &json!({"deal": "7"}), &settings(&["m/sales"]), now());
        assert!(matches!(event, Ok((_, Some(InboxEvent::Signal { at, .. }))) if at == now()));
    }

    #[test]
    fn a_reply_means_what_the_same_words_mean_by_sms() {
        let keywords = [("m/sms".to_owned(), ["ОТКАЗ".to_owned()].into())].into();
        let settings = Settings { keywords, ..settings(&["m/sales"]) };
        for (kind, text, want) in [
            ("reply", "СТОП", "stop"),
            ("reply", "Стоп\n\n> 22 ноября Новый дом пишет:", "stop"),
            ("reply", "отказ", "stop"),
            ("reply", "отказ мне пришёл от банка", "reply"),
            ("reply", "Автоответ: в отпуске до 5-го", "nothing"),
            ("reply", "да", "reply"),
            ("reply", "", "reply"),
            ("chat", "стоп", "reply"),
        ] {
            let data = json!({"email": "sara@example.com", "text": text});
            let (_, event) = parse(&format!("dev.rekindle.signal.{kind}"), None, &data, &settings, now()).unwrap();
            let got = match event {
                Some(InboxEvent::Unsubscribe { .. }) => "stop",
                Some(InboxEvent::Signal { .. }) => "reply",
                None => "nothing",
                other => panic!("{other:?}"),
            };
            assert_eq!(got, want, "{kind} {text}");
        }
    }
}
