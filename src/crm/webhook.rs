//! Write-backs handed to another program over HTTP.

use super::{CrmError, cloud_event::MEDIA_TYPE};
use crate::compile::{Secret, WebhookWiring};
use crate::model::Outcome;
use reqwest::{StatusCode, Url, header, redirect};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::{sync::Arc, time::Duration};

/// How long a receiver may take. It answers when it has stored the event, not when it is done with it.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A receiver of events.
#[derive(Clone)]
pub(super) struct Webhook {
    client: reqwest::Client,
    url: Url,
    token: Option<Secret>,
}

impl Webhook {
    pub fn new(wiring: &WebhookWiring) -> Result<Self, CrmError> {
        let settings = |what: &str, help: &str| CrmError::Settings { what: what.into(), help: help.into() };
        let url = Url::parse(&wiring.url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| settings("the webhook's url is not one", "write it in full, like https://crm.example.com/rekindle"))?;
        // Roots of the system are wanted only where TLS is.
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                if url.scheme() == "https" {
                    Ok(builder.with_platform_verifier()?.with_no_client_auth())
                } else {
                    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
                }
            })
            .map_err(|_| settings("the system has no trusted certificates", "install its ca-certificates package"))?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .dns_resolver(super::Elsewhere)
            .timeout(TIMEOUT)
            .user_agent(concat!("rekindle/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| settings("the webhook cannot be called", "check its url"))?;
        Ok(Self { client, url, token: wiring.token.clone() })
    }

    /// Posts one event. Reasons never hold the URL: it may carry a secret.
    pub async fn post(&self, event: String) -> Outcome {
        let mut request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, MEDIA_TYPE).body(event);
        if let Some(token) = &self.token {
            request = request.bearer_auth(&token.0);
        }
        match request.send().await {
            Ok(reply) => verdict(reply.status(), retry_after(reply.headers())),
            Err(error) => {
                let reason = if error.is_timeout() {
                    "the webhook did not answer in time"
                } else if error.is_connect() {
                    "the webhook cannot be reached"
                } else {
                    "the webhook broke off"
                };
                Outcome::Retry { reason: reason.into(), after: None }
            }
        }
    }
}

/// What an answer means. The receiver dedupes by id, so whatever is in doubt is sent again.
fn verdict(status: StatusCode, after: Option<Duration>) -> Outcome {
    let code = status.as_u16();
    match code {
        200..=299 => Outcome::Accepted { provider: "webhook".into(), provider_id: None },
        300..=399 => Outcome::Retry {
            reason: format!("the webhook answered {code}, a redirect, which is not followed; write the final address"),
            after: None,
        },
        // A wrong token is the connection's fault and not this event's: nothing may be lost over it.
        401 | 403 => {
            Outcome::ChannelDown { reason: format!("the webhook answered {code}: it does not accept the token"), after: None }
        }
        // Nor is a wrong path, or an Ingress with nobody behind it.
        404 | 405 | 410 | 415 => Outcome::ChannelDown {
            reason: format!("the webhook answered {code}: nothing there takes events; check its url"),
            after: None,
        },
        408 | 429 => Outcome::Retry { reason: format!("the webhook answered {code}"), after },
        400..=499 => Outcome::Rejected { reason: format!("the webhook answered {code}"), suppress: false },
        _ => Outcome::Retry { reason: format!("the webhook answered {code}"), after },
    }
}

/// `Retry-After` in seconds, at most an hour. Its date form is rare and means our own backoff.
fn retry_after(headers: &header::HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(3600)))
}
