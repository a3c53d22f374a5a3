//! SMS through any HTTP provider that a manifest declares: templates for the request, CEL rules for the answer.

mod answer;
mod pattern;
mod receipt;
mod rule;

pub use receipt::read_receipt;

use super::{
    Channel, ChannelError, Job, Report,
    backoff::Breaker,
    receipt::url,
    ticket::{Progress, Ticket},
    tls,
};
use crate::{
    compile::{HttpBody, HttpSmsWiring},
    content::{Rendered, segments},
    model::{Address, Outcome},
};
use answer::{Answer, Rules};
use pattern::{NAMES, Pattern, Place, Values};
use reqwest::{
    Client, Method, RequestBuilder,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

/// One declared provider.
pub struct HttpSms {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    client: Client,
    request: Request,
    rules: Rules,
    breaker: Breaker,
    permits: Arc<Semaphore>,
    connections: u32,
    wiring: HttpSmsWiring,
}

struct Request {
    method: Method,
    url: Pattern,
    headers: Vec<(HeaderName, Pattern)>,
    body: Body,
}

enum Body {
    None,
    Form(Vec<(Pattern, Pattern)>),
    Json(Json),
    Text(Pattern),
}

/// A JSON document with patterns for strings.
enum Json {
    Text(Pattern),
    Fixed(serde_json::Value),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    fn parse(json: &serde_json::Value, known: &dyn Fn(&str) -> bool) -> Result<Self, ChannelError> {
        Ok(match json {
            serde_json::Value::String(s) => Self::Text(Pattern::parse(s, Place::Plain, "body.json", known)?),
            serde_json::Value::Array(list) => Self::List(list.iter().map(|v| Self::parse(v, known)).collect::<Result<_, _>>()?),
            serde_json::Value::Object(object) => Self::Object(
                object.iter().map(|(k, v)| Ok((k.clone(), Self::parse(v, known)?))).collect::<Result<_, ChannelError>>()?,
            ),
            fixed => Self::Fixed(fixed.clone()),
        })
    }

    fn fill(&self, values: &Values<'_>) -> serde_json::Value {
        match self {
            Self::Text(pattern) => pattern.fill(values).into(),
            Self::Fixed(value) => value.clone(),
            Self::List(list) => list.iter().map(|v| v.fill(values)).collect(),
            Self::Object(object) => serde_json::Value::Object(object.iter().map(|(k, v)| (k.clone(), v.fill(values))).collect()),
        }
    }
}

impl HttpSms {
    /// # Errors
    /// [`ChannelError::Settings`] naming the field: unknown names in templates, rules that are not CEL, a URL that is none.
    pub fn open(name: &str, wiring: &HttpSmsWiring) -> Result<Self, ChannelError> {
        let known = |n: &str| NAMES.contains(&n) || n.strip_prefix("secret.").is_some_and(|key| wiring.secrets.contains_key(key));
        let method = Method::from_bytes(wiring.method.to_uppercase().as_bytes())
            .map_err(|_| ChannelError::settings("`method` is not an HTTP method", "write GET or POST"))?;
        if !(wiring.url.starts_with("https://") || wiring.url.starts_with("http://")) {
            return Err(ChannelError::settings(
                "`url` is not an HTTP address",
                "write it whole, like https://sms.example.com/send",
            ));
        }
        let headers = wiring
            .headers
            .iter()
            .map(|(header, value)| {
                let parsed = HeaderName::from_bytes(header.as_bytes()).map_err(|_| {
                    ChannelError::settings(format!("header {header:?} is not a header name"), "write it like X-Api-Key")
                })?;
                Ok((parsed, Pattern::parse(value, Place::Header, &format!("headers.{header}"), &known)?))
            })
            .collect::<Result<_, ChannelError>>()?;
        let plain = |source: &str, field: &str| Pattern::parse(source, Place::Plain, field, &known);
        let body = match &wiring.body {
            HttpBody::None => Body::None,
            HttpBody::Form(fields) => Body::Form(
                fields.iter().map(|(k, v)| Ok((plain(k, "body.form")?, plain(v, &format!("body.form.{k}"))?))).collect::<Result<
                    _,
                    ChannelError,
                >>(
                )?,
            ),
            HttpBody::Json(json) => Body::Json(Json::parse(json, &known)?),
            HttpBody::Text(text) => Body::Text(plain(text, "body.text")?),
        };
        if let Some(receipt) = &wiring.receipt {
            receipt::check(receipt)?;
        }
        Ok(Self {
            shared: Arc::new(Shared {
                name: name.to_owned(),
                client: client(wiring.timeout)?,
                request: Request { method, url: Pattern::parse(&wiring.url, Place::Url, "url", &known)?, headers, body },
                rules: Rules::compile(wiring)?,
                breaker: Breaker::new(name),
                permits: Arc::new(Semaphore::new(wiring.connections.max(1) as usize)),
                connections: wiring.connections.max(1),
                wiring: wiring.clone(),
            }),
        })
    }
}

/// A client that follows nothing, keeps no cookies, and drops idle connections before servers do: a request on a connection that is
/// just being closed would be ambiguous.
pub(super) fn client(timeout: Duration) -> Result<Client, ChannelError> {
    tls::install();
    Client::builder()
        .user_agent(concat!("rekindle/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(crate::crm::Elsewhere)
        .referer(false)
        .timeout(timeout)
        .connect_timeout((timeout / 2).min(Duration::from_secs(10)))
        .pool_idle_timeout(Duration::from_secs(4))
        .tcp_nodelay(true)
        .build()
        .map_err(|_| {
            ChannelError::settings("no HTTP client can be made", "install ca-certificates, or check the host's TLS settings")
        })
}

/// Sends a request and reads a bounded answer. `Err` is the outcome of a request without an answer.
pub(super) async fn exchange(request: RequestBuilder, breaker: &Breaker) -> Result<Answer, Outcome> {
    let mut response = request.send().await.map_err(|e| broken(&e, breaker))?;
    breaker.reachable();
    let status = response.status().as_u16();
    let headers: Vec<(String, String)> = response
        .headers()
        .iter()
        .take(64)
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| broken(&e, breaker))? {
        let room = rule::MAX_BODY.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if room <= chunk.len() {
            break;
        }
    }
    Ok(Answer { status, headers, body })
}

/// Before the request could leave: certainly not accepted. Later: nobody knows. The error's own text holds the URL and with it
/// secrets and numbers, so it is never shown.
fn broken(e: &reqwest::Error, breaker: &Breaker) -> Outcome {
    if e.is_builder() {
        return Outcome::ChannelDown { reason: "the request cannot be built; check url and headers".into(), after: None };
    }
    if e.is_connect() {
        let what = if e.is_timeout() { "no connection in time" } else { "no connection (name, port or TLS)" };
        return breaker.unreachable(what);
    }
    let what = if e.is_timeout() { "no answer in time" } else { "the connection broke before the answer was complete" };
    Outcome::Unknown { reason: what.into() }
}

impl Shared {
    async fn send(&self, job: &Job, ticket: &mut Ticket) -> Outcome {
        if let Some(outcome) = self.breaker.answer() {
            return outcome;
        }
        let (Address::Phone(to), Rendered::Sms { from, text }) = (&job.to, &job.message) else {
            return Outcome::Rejected { reason: "an SMS channel was given something else than an SMS".into(), suppress: false };
        };
        let from = if from.is_empty() { &self.wiring.from } else { from };
        let receipt_url = job.receipt_url.as_deref().map_or_else(String::new, |base| url(base, &self.name, job.effect));
        let mut values: Values<'_> = [
            ("to", to.as_str().into()),
            ("toDigits", to.as_str().trim_start_matches('+').into()),
            ("from", from.as_str().into()),
            ("text", text.as_str().into()),
            ("id", job.key.to_string().into()),
            ("effect", job.effect.to_string().into()),
            ("receiptUrl", receipt_url.into()),
            ("parts", segments(text).parts.to_string().into()),
        ]
        .into();
        let secrets: Vec<(String, &str)> = self.wiring.secrets.iter().map(|(k, v)| (format!("secret.{k}"), v.0.as_str())).collect();
        values.extend(secrets.iter().map(|(name, value)| (name.as_str(), (*value).into())));
        let Some(request) = self.build(&values) else {
            return Outcome::ChannelDown { reason: "the request cannot be built; check url and headers".into(), after: None };
        };
        ticket.progress = Progress::Ambiguous;
        match exchange(request, &self.breaker).await {
            Ok(answer) => self.rules.outcome(&answer, &self.name, job.key),
            Err(outcome) => outcome,
        }
    }

    fn build(&self, values: &Values<'_>) -> Option<RequestBuilder> {
        let url = reqwest::Url::parse(&self.request.url.fill(values)).ok()?;
        let mut request = self.client.request(self.request.method.clone(), url);
        for (name, pattern) in &self.request.headers {
            request = request.header(name, HeaderValue::from_str(&pattern.fill(values)).ok()?);
        }
        if let Some((user, password)) = &self.wiring.basic {
            request = request.basic_auth(user, Some(&password.0));
        }
        Some(match &self.request.body {
            Body::None => request,
            Body::Form(fields) => request.form(&fields.iter().map(|(k, v)| (k.fill(values), v.fill(values))).collect::<Vec<_>>()),
            Body::Json(json) => request.json(&json.fill(values)),
            Body::Text(pattern) => {
                let declared = self.request.headers.iter().any(|(name, _)| *name == CONTENT_TYPE);
                let request = if declared { request } else { request.header(CONTENT_TYPE, "text/plain; charset=utf-8") };
                request.body(pattern.fill(values))
            }
        })
    }
}

#[async_trait::async_trait]
impl Channel for HttpSms {
    async fn perform(&self, jobs: Vec<Job>, deadline: Instant, reports: mpsc::UnboundedSender<Report>) {
        let shared = self.shared.clone();
        super::concurrent::each(&self.shared.permits, jobs, deadline, &reports, move |job, mut ticket| {
            let shared = shared.clone();
            async move {
                let outcome = shared.send(&job, &mut ticket).await;
                ticket.report(outcome);
            }
        })
        .await;
    }

    fn close(&self) {
        // Who waits for a permit does not get one any more.
        self.shared.permits.close();
    }

    fn capacity(&self) -> usize {
        self.shared.connections as usize
    }

    fn in_flight_bound(&self) -> usize {
        self.shared.connections as usize
    }
}
