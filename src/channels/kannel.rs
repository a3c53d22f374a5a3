//! Kannel's `sendsms` (sms.md §2, §3): a preset over HTTP, with its receipts and inbound messages.

use super::{
    Channel, ChannelError, Job, Report,
    backoff::Breaker,
    concurrent,
    http_sms::{client, exchange},
    receipt::{Fields, Receipt, ReceiptFor, Unreadable, effect, url},
    ticket::{Progress, Ticket},
};
use crate::{
    compile::KannelWiring,
    content::{Encoding, Rendered, segments},
    model::{Address, Outcome},
};
use reqwest::{Client, Url};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

/// smsbox answers when bearerbox has the message, normally at once.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a number is refused that none of this Kannel's SMSCs takes.
const NOT_ROUTABLE: &str = "no SMSC of it takes this number";

/// One `sendsms` endpoint.
pub struct Kannel {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    wiring: KannelWiring,
    endpoint: Url,
    client: Client,
    breaker: Breaker,
    permits: Arc<Semaphore>,
}

impl Kannel {
    /// # Errors
    /// [`ChannelError::Settings`] when the URL is none.
    pub fn open(name: &str, wiring: &KannelWiring) -> Result<Self, ChannelError> {
        let mut endpoint =
            Url::parse(&wiring.url).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(|| {
                ChannelError::settings("`url` is not an HTTP address", "write smsbox's address, like http://kannel:13013")
            })?;
        if matches!(endpoint.path(), "" | "/") {
            endpoint.set_path("/cgi-bin/sendsms");
        }
        let permits = Arc::new(Semaphore::new(wiring.connections.max(1) as usize));
        let breaker = Breaker::new(name);
        let shared = Shared { name: name.to_owned(), wiring: wiring.clone(), endpoint, client: client(TIMEOUT)?, breaker, permits };
        Ok(Self { shared: Arc::new(shared) })
    }
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
        let mut endpoint = self.endpoint.clone();
        {
            let mut query = endpoint.query_pairs_mut();
            query
                .append_pair("username", &self.wiring.username)
                .append_pair("password", &self.wiring.password.0)
                .append_pair("from", from)
                .append_pair("to", to.as_str())
                .append_pair("text", text)
                .append_pair("charset", "UTF-8")
                // Left to itself Kannel squeezes everything into GSM-7 and prints question marks.
                .append_pair("coding", if segments(text).encoding == Encoding::Gsm7 { "0" } else { "2" });
            if let Some(base) = &job.receipt_url {
                query.append_pair("dlr-mask", "31").append_pair("dlr-url", &receipt_url(&url(base, &self.name, job.effect)));
            }
        }
        ticket.progress = Progress::Ambiguous;
        match exchange(self.client.get(endpoint), &self.breaker).await {
            Ok(answer) => self.outcome(answer.status, &answer.body),
            Err(outcome) => outcome,
        }
    }

    /// smsbox's answers: 202 with `0: Accepted for delivery` or `3: Queued for later delivery`; 403 for the account, and for a number
    /// that no SMSC takes; 400 for the request; 503 when bearerbox is away and nothing was stored.
    fn outcome(&self, status: u16, body: &[u8]) -> Outcome {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start();
        let reason = |what: &str| format!("Kannel {status}: {what}");
        match status {
            202 | 200 if text.starts_with("0:") || text.starts_with("3:") => {
                Outcome::Accepted { provider: self.name.clone(), provider_id: None }
            }
            403 if text.to_ascii_lowercase().starts_with("not routable") => {
                Outcome::Rejected { reason: reason(NOT_ROUTABLE), suppress: false }
            }
            401 | 403 => Outcome::ChannelDown { reason: reason("the account or its address is refused"), after: None },
            404 => Outcome::ChannelDown { reason: reason("no sendsms there; check `url`"), after: None },
            503 if text.starts_with("4:") || text.to_ascii_lowercase().contains("temporal failure") => {
                Outcome::Retry { reason: reason("not now"), after: None }
            }
            400..=499 => Outcome::Rejected { reason: reason("refused for good"), suppress: false },
            _ => Outcome::Unknown { reason: reason("no clear answer") },
        }
    }
}

/// Kannel replaces `%d` by what happened; percent signs that are ours are doubled.
fn receipt_url(url: &str) -> String {
    format!("{}&status=%d", url.replace('%', "%%"))
}

#[async_trait::async_trait]
impl Channel for Kannel {
    async fn perform(&self, jobs: Vec<Job>, deadline: Instant, reports: mpsc::UnboundedSender<Report>) {
        let shared = self.shared.clone();
        concurrent::each(&self.shared.permits, jobs, deadline, &reports, move |job, mut ticket| {
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
        self.in_flight_bound()
    }

    fn in_flight_bound(&self) -> usize {
        self.shared.wiring.connections.max(1) as usize
    }

    fn only_here(&self, outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Rejected { reason, .. } if reason.ends_with(NOT_ROUTABLE))
    }
}

/// Reads one receipt (`dlr-url`): 1 delivered, 2 undeliverable, 16 rejected by the SMSC; 4 (queued) and 8 (taken by the SMSC) say no
/// more than that it was accepted, which resolves an unknown. `None` for any other status.
///
/// # Errors
/// It has no status or does not say which message it is about: not what the `dlr-url` that we gave asks for.
pub fn read_receipt(provider: &str, query: &Fields) -> Result<Option<Receipt>, Unreadable> {
    let status: u32 = query.get("status").and_then(|status| status.parse().ok()).ok_or(Unreadable)?;
    let of = ReceiptFor::Effect(effect(query).ok_or(Unreadable)?);
    let outcome = match status {
        1 => Outcome::Delivered,
        2 => Outcome::Rejected { reason: "Kannel: undeliverable".into(), suppress: false },
        16 => Outcome::Rejected { reason: "Kannel: rejected by the SMSC".into(), suppress: false },
        4 | 8 => Outcome::Accepted { provider: provider.to_owned(), provider_id: None },
        _ => return Ok(None),
    };
    Ok(Some(Receipt { of, outcome }))
}

/// The `get-url` of an `sms-service` whose messages [`super::inbound::read`] understands: `rekindle hooks` prints it.
#[must_use]
pub fn inbound_url(base: &str) -> String {
    let mut url = base.replace('%', "%%");
    url.push(if url.contains('?') { '&' } else { '?' });
    url.push_str("from=%p&to=%P&text=%b&id=%I");
    url
}

#[cfg(test)]
mod tests {
    use super::{Channel, Kannel, Unreadable, inbound_url, read_receipt, receipt_url};
    use crate::{
        compile::{KannelWiring, Secret},
        model::Outcome,
    };

    fn fields(pairs: &[(&str, &str)]) -> super::Fields {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[tokio::test]
    async fn a_number_without_a_route_is_refused_and_does_not_stop_the_others() {
        let wiring = KannelWiring {
            url: "http://kannel:13013".into(),
            username: "u".into(),
            password: Secret("p".into()),
            from: "X".into(),
            connections: 1,
        };
        let kannel = Kannel::open("main", &wiring).unwrap();
        for (status, body, want, only_here) in [
            (202, "0: Accepted for delivery", "accepted", false),
            (202, "3: Queued for later delivery", "accepted", false),
            (403, "Not routable. Do not try again.", "reject", true),
            (403, "Authorization failed for sendsms", "channel", false),
            (503, "Temporal failure, try again later.", "retry", false),
            (400, "Missing receiver number, rejected", "reject", false),
            (502, "", "unknown", false),
        ] {
            let outcome = kannel.shared.outcome(status, body.as_bytes());
            let word = match &outcome {
                Outcome::Accepted { .. } => "accepted",
                Outcome::Retry { .. } => "retry",
                Outcome::Rejected { suppress: false, .. } => "reject",
                Outcome::ChannelDown { .. } => "channel",
                Outcome::Unknown { .. } => "unknown",
                _ => "?",
            };
            assert_eq!((word, kannel.only_here(&outcome)), (want, only_here), "{status} {body}");
        }
    }

    #[test]
    fn receipts() {
        assert_eq!(receipt_url("https://x.test/r?k=a%2Fb&effect=7.1"), "https://x.test/r?k=a%%2Fb&effect=7.1&status=%d");
        for (status, want) in
            [("1", Some("delivered")), ("2", Some("failed")), ("16", Some("failed")), ("8", Some("accepted")), ("32", None)]
        {
            let receipt = read_receipt("main", &fields(&[("effect", "7.1"), ("status", status)])).unwrap();
            let word = receipt.map(|r| match r.outcome {
                Outcome::Delivered => "delivered",
                Outcome::Rejected { .. } => "failed",
                Outcome::Accepted { .. } => "accepted",
                _ => "?",
            });
            assert_eq!(word, want, "{status}");
        }
        let none: [&[(&str, &str)]; 4] =
            [&[("status", "1")], &[("effect", "7.1")], &[("effect", "7.1"), ("status", "")], &[("effect", "x"), ("status", "1")]];
        for wrong in none {
            assert_eq!(read_receipt("main", &fields(wrong)), Err(Unreadable), "{wrong:?}");
        }
    }

    #[test]
    fn the_get_url_asks_kannel_for_number_text_and_id() {
        assert_eq!(
            inbound_url("https://x.test/inbound?k=a%2Fb"),
            "https://x.test/inbound?k=a%%2Fb&from=%p&to=%P&text=%b&id=%I",
            "percent signs that are ours are doubled"
        );
    }
}
