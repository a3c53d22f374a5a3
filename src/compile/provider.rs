//! Providers of a channel → their settings, with secrets in place and defaults filled in.

use super::{
    HttpBody, HttpErrorRule, HttpReceiptWiring, HttpSmsWiring, HttpVerdict, KannelWiring, ProviderKind, Secret, SmtpTls,
    SmtpWiring,
    connection::http_url,
    finding::{Findings, Reason, member, suggest},
    resources::Resources,
    rule,
};
use crate::api::{HttpMethod, HttpSms, HttpVerdictSpec, Kannel, Provider, ProviderType, Smtp, SmtpTlsSpec};
use crate::model::{HumanDuration, Medium};
use std::{collections::BTreeMap, time::Duration};

/// What templates of a request know.
const IN_REQUEST: [&str; 8] = ["to", "toDigits", "from", "text", "id", "effect", "receiptUrl", "parts"];
/// What rules about an answer know.
const IN_ANSWER: [&str; 4] = ["status", "body", "json", "headers"];
/// What rules about a receipt know.
const IN_RECEIPT: [&str; 4] = ["query", "form", "json", "body"];

/// What a provider's settings are resolved with.
pub(super) struct Scope<'a> {
    pub all: &'a Resources<'a>,
    pub namespace: &'a str,
    /// The sender of SMS.
    pub from: &'a str,
    /// How relays are greeted.
    pub helo: &'a str,
    pub medium: Medium,
}

impl Scope<'_> {
    pub fn provider(&self, provider: &Provider, path: &str, found: &mut Findings) -> Option<ProviderKind> {
        let (carries, named) = match provider.kind {
            ProviderType::Kannel => (Medium::Sms, "kannel"),
            ProviderType::Http => (Medium::Sms, "http"),
            ProviderType::Smtp => (Medium::Email, "smtp"),
        };
        if carries != self.medium {
            let (help, wrong) = match self.medium {
                Medium::Sms => ("write type Kannel or Http", "SMS"),
                Medium::Email => ("write type Smtp", "email"),
            };
            found.error(
                &format!("{path}.type"),
                Reason::InvalidUnion,
                format!("a provider of type {:?} carries no {wrong}", provider.kind),
                help,
            );
            return None;
        }
        match (provider.kind, &provider.kannel, &provider.http, &provider.smtp) {
            (ProviderType::Kannel, Some(kannel), None, None) => {
                self.kannel(kannel, &format!("{path}.kannel"), found).map(ProviderKind::Kannel)
            }
            (ProviderType::Http, None, Some(http), None) => {
                Some(ProviderKind::Http(self.http(http, &format!("{path}.http"), found)))
            }
            (ProviderType::Smtp, None, None, Some(smtp)) => self.smtp(smtp, &format!("{path}.smtp"), found).map(ProviderKind::Smtp),
            _ => {
                found.error(
                    path,
                    Reason::InvalidUnion,
                    format!("type is {:?}, but the settings are of another type or missing", provider.kind),
                    format!("write the member {named} and no other"),
                );
                None
            }
        }
    }

    /// User name and password under their usual keys.
    fn login(&self, name: &str, path: &str, found: &mut Findings) -> Option<(String, Secret)> {
        if !self.all.has_secret(self.namespace, name) {
            found.error(
                path,
                Reason::SecretNotFound,
                format!("there is no Secret {name} in namespace {}", self.namespace),
                "create it there with the keys username and password",
            );
            return None;
        }
        let username = self.all.secret(self.namespace, name, "username", path, found);
        let password = self.all.secret(self.namespace, name, "password", path, found);
        Some((username?.0, password?))
    }

    fn kannel(&self, spec: &Kannel, path: &str, found: &mut Findings) -> Option<KannelWiring> {
        http_url(&spec.url, &format!("{path}.url"), found);
        let (username, password) = self.login(&spec.secret_ref.name, &format!("{path}.secretRef"), found)?;
        Some(KannelWiring {
            url: spec.url.clone(),
            username,
            password,
            from: self.from.into(),
            connections: count(spec.connections, 8),
        })
    }

    fn smtp(&self, spec: &Smtp, path: &str, found: &mut Findings) -> Option<SmtpWiring> {
        let tls = match spec.tls.unwrap_or_default() {
            SmtpTlsSpec::Starttls => SmtpTls::Starttls,
            SmtpTlsSpec::Tls => SmtpTls::Tls,
            SmtpTlsSpec::None => SmtpTls::None,
        };
        let usual = match tls {
            SmtpTls::Starttls => 587,
            SmtpTls::Tls => 465,
            SmtpTls::None => 25,
        };
        let login = match &spec.secret_ref {
            Some(secret) => Some(self.login(&secret.name, &format!("{path}.secretRef"), found)?),
            None => None,
        };
        if tls == SmtpTls::None && login.is_some() && !loopback(&spec.host) {
            found.warn(
                &format!("{path}.tls"),
                Reason::Conflict,
                "a password is never sent over a connection without TLS",
                "write tls: Starttls or Tls, or leave secretRef out",
            );
        }
        let ca = match &spec.ca {
            Some(map) => {
                let bytes = self.all.config_map(self.namespace, &map.name, &map.key, &format!("{path}.ca"), found)?;
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            None => None,
        };
        let (username, password) = login.unzip();
        Some(SmtpWiring {
            host: spec.host.clone(),
            port: spec.port.and_then(|p| u16::try_from(p).ok()).unwrap_or(usual),
            tls,
            username,
            password,
            ca,
            connections: count(spec.connections, 4),
            messages_per_connection: count(spec.messages_per_connection, 100),
            depth: count(spec.pipeline_depth, 1),
            pipelining: spec.pipelining.unwrap_or(true),
            helo: spec.helo.clone().unwrap_or_else(|| self.helo.to_owned()),
        })
    }

    fn http(&self, spec: &HttpSms, path: &str, found: &mut Findings) -> HttpSmsWiring {
        let request = &spec.request;
        let mut members = 0;
        let body = if let Some(json) = &request.json {
            members += 1;
            HttpBody::Json(json.clone())
        } else if let Some(text) = &request.text {
            HttpBody::Text(text.clone())
        } else if request.form.is_empty() {
            HttpBody::None
        } else {
            HttpBody::Form(request.form.clone().into_iter().collect())
        };
        members += u8::from(request.text.is_some()) + u8::from(!request.form.is_empty());
        if members > 1 {
            found.error(
                &format!("{path}.request"),
                Reason::InvalidUnion,
                "several bodies are set",
                "set at most one of form, json, text",
            );
        }
        let host_end = request.url.find("{{").unwrap_or(request.url.len());
        http_url(request.url.get(..host_end).unwrap_or_default(), &format!("{path}.request.url"), found);
        let secrets = spec
            .secret_ref
            .as_ref()
            .map(|s| self.all.secret_keys(self.namespace, &s.name, &format!("{path}.secretRef"), found))
            .unwrap_or_default();
        request_names(spec, &secrets, path, found);
        rules(spec, path, found);
        HttpSmsWiring {
            method: match request.method.unwrap_or_default() {
                HttpMethod::Get => "GET",
                HttpMethod::Post => "POST",
                HttpMethod::Put => "PUT",
            }
            .into(),
            url: request.url.clone(),
            headers: request.headers.clone().into_iter().collect(),
            body,
            secrets,
            basic: spec
                .basic_auth_secret_ref
                .as_ref()
                .and_then(|s| self.login(&s.name, &format!("{path}.basicAuthSecretRef"), found)),
            success: spec.accepted.clone().unwrap_or_default(),
            id: spec.id.clone(),
            errors: spec
                .errors
                .iter()
                .map(|e| HttpErrorRule { when: e.when.clone(), then: verdict(e.then), after: e.after.map(HumanDuration::elapsed) })
                .collect(),
            receipt: spec.receipts.as_ref().map(|r| HttpReceiptWiring {
                id: r.id.clone(),
                delivered: r.delivered.clone(),
                failed: r.failed.clone(),
                answer: r.answer.clone(),
            }),
            timeout: spec.timeout.map_or(Duration::from_secs(30), HumanDuration::elapsed),
            connections: count(spec.connections, 8),
            from: self.from.into(),
        }
    }
}

/// Reads the rules about answers and receipts.
fn rules(spec: &HttpSms, path: &str, found: &mut Findings) {
    for (member, source) in [("accepted", &spec.accepted), ("id", &spec.id)] {
        if let Some(source) = source {
            rule::check(source, &IN_ANSWER, &format!("{path}.{member}"), found);
        }
    }
    for (i, error) in spec.errors.iter().enumerate() {
        rule::check(&error.when, &IN_ANSWER, &format!("{path}.errors[{i}].when"), found);
    }
    if let Some(receipts) = &spec.receipts {
        for (member, source) in [("id", &receipts.id), ("delivered", &receipts.delivered), ("failed", &receipts.failed)] {
            rule::check(source, &IN_RECEIPT, &format!("{path}.receipts.{member}"), found);
        }
    }
}

/// The names in `{{ … }}` of a request.
fn request_names(spec: &HttpSms, secrets: &BTreeMap<String, Secret>, path: &str, found: &mut Findings) {
    let request = &spec.request;
    let mut places = vec![(format!("{path}.request.url"), request.url.clone())];
    for (map, name) in [(&request.headers, "headers"), (&request.form, "form")] {
        places.extend(map.iter().map(|(k, v)| (member(&format!("{path}.request.{name}"), k), v.clone())));
    }
    places.extend(request.text.iter().map(|t| (format!("{path}.request.text"), t.clone())));
    places.extend(request.json.iter().map(|j| (format!("{path}.request.json"), j.to_string())));
    for (place, text) in &places {
        for inside in text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(inside, _)| inside.trim()) {
            let name = inside.split('|').next().unwrap_or_default().trim();
            match name.strip_prefix("secret.") {
                Some(_) if spec.secret_ref.is_none() => {
                    found.error(
                        place,
                        Reason::SecretNotFound,
                        format!("{name} is used, but no Secret is named"),
                        "write secretRef: {name: …}",
                    );
                }
                // A Secret that is missing altogether was told already.
                Some(key) if !secrets.is_empty() && !secrets.contains_key(key) => {
                    let help = suggest(key, secrets.keys().map(String::as_str));
                    found.error(place, Reason::SecretNotFound, format!("the Secret has no key {key}"), help);
                }
                Some(_) => {}
                None if IN_REQUEST.contains(&name) => {}
                None => {
                    let help = suggest(name, IN_REQUEST.into_iter().chain(["secret.KEY"]));
                    found.error(place, Reason::UnknownName, format!("{name} is not known in a request"), help);
                }
            }
        }
    }
    if !places.iter().any(|(_, t)| t.contains("text")) {
        found.error(
            &format!("{path}.request"),
            Reason::Incomplete,
            "the request does not carry the text",
            "put {{ text }} into the url, form, json or text",
        );
    }
}

fn loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn count(given: Option<i32>, usual: u32) -> u32 {
    given.and_then(|n| u32::try_from(n).ok()).unwrap_or(usual).max(1)
}

const fn verdict(spec: HttpVerdictSpec) -> HttpVerdict {
    match spec {
        HttpVerdictSpec::Retry => HttpVerdict::Retry,
        HttpVerdictSpec::Throttled => HttpVerdict::Throttled,
        HttpVerdictSpec::InvalidRecipient => HttpVerdict::InvalidRecipient,
        HttpVerdictSpec::OptedOut => HttpVerdict::OptedOut,
        HttpVerdictSpec::Rejected => HttpVerdict::Rejected,
        HttpVerdictSpec::ChannelDown => HttpVerdict::ChannelDown,
        HttpVerdictSpec::Unknown => HttpVerdict::Unknown,
    }
}
