//! `MessageChannel` → the settings of its providers, and the sender that texts are made for.

use super::{
    ChannelWiring, DkimWiring, HttpBody, HttpErrorRule, HttpReceiptWiring, HttpSmsWiring, HttpVerdict, KannelWiring, OnAmbiguous,
    PartPrice, ProviderKind, ProviderWiring, SmtpTls, SmtpWiring,
    connection::http_url,
    finding::{Findings, Reason},
    names::{Names, Use},
    resources::{Parsed, Resources},
    rule,
};
use crate::api::{
    EmailSenderSpec, HttpMethod, HttpSms, HttpVerdictSpec, Kannel, MessageChannelSpec, OnAmbiguousSpec, OptOutSpec, Provider,
    SmsEncoding, SmsSenderSpec, Smtp, SmtpTlsSpec,
};
use crate::content::{EmailSender, Escape, OptOut, Sender, SmsSender};
use crate::model::{Email, HumanDuration, Medium, Phone};
use std::time::Duration;

/// What is found to be wrong of a channel alone, and its wiring.
pub(super) fn channel(
    resource: &Parsed<'_, MessageChannelSpec>,
    all: &Resources<'_>,
    found: &mut Findings,
) -> Option<ChannelWiring> {
    let (spec, namespace) = (&resource.spec, resource.source.namespace.as_str());
    let Some(medium) = medium(spec) else {
        found.error(
            "spec",
            Reason::InvalidUnion,
            "exactly one of sms, email must be set",
            "write sms: for a sender of SMS, or email: for one of email",
        );
        return None;
    };
    // What texts need of it is checked with every funnel; here for channels that no funnel uses yet.
    sender(spec, "", found);
    if spec.providers.is_empty() {
        found.error(
            "spec.providers",
            Reason::NoChannel,
            "there is no provider to hand messages to",
            "write at least one, like {name: main, type: Smtp, smtp: {host: mail}}",
        );
    }
    let from = spec.sms.as_ref().map(|s| s.from.as_str()).unwrap_or_default();
    let domain = spec.email.as_ref().and_then(|e| Email::parse(&e.from.address).ok()).map(|e| e.domain().to_owned());
    let mut providers: Vec<ProviderWiring> = Vec::new();
    for (i, provider) in spec.providers.iter().enumerate() {
        let path = format!("spec.providers[{i}]");
        if providers.iter().any(|p| p.name == provider.name) {
            found.error(
                &format!("{path}.name"),
                Reason::Duplicate,
                format!("two providers are named {}", provider.name),
                "give one of them another name",
            );
        }
        let scope = Scope { all, namespace, from, helo: domain.as_deref().unwrap_or("localhost"), medium };
        if let Some(kind) = scope.provider(provider, &path, found) {
            providers.push(ProviderWiring { name: provider.name.clone(), kind });
        }
    }
    if spec.retry.min.is_zero() || spec.retry.min > spec.retry.max {
        found.error(
            "spec.retry",
            Reason::InvalidValue,
            format!("pauses from {} to {} cannot be kept", spec.retry.min, spec.retry.max),
            "write a min above nothing and a max not below it, like {min: 30s, max: 30m}",
        );
    }
    if spec.expires_after.is_zero() {
        found.error("spec.expiresAfter", Reason::NeverOpens, "every message would expire at once", "write a time, like 12h");
    }
    // NaN as well.
    if !(spec.rate.per_second > 0.0) {
        found.error(
            "spec.rate.perSecond",
            Reason::NeverOpens,
            "at that rate nothing is ever sent",
            "write how many messages a second, like 10 or 0.5",
        );
    }
    Some(ChannelWiring {
        key: format!("{namespace}/{}", resource.source.name),
        medium,
        providers,
        per_second: spec.rate.per_second,
        burst: spec.rate.burst.and_then(|b| u32::try_from(b).ok()).unwrap_or_else(|| one_second(spec.rate.per_second)).max(1),
        on_ambiguous: match spec.on_ambiguous {
            OnAmbiguousSpec::Hold => OnAmbiguous::Hold,
            OnAmbiguousSpec::Resend => OnAmbiguous::Resend,
        },
        retry_min: spec.retry.min,
        retry_max: spec.retry.max,
        test_recipients: recipients(spec, medium, found),
        dkim: spec.email.as_ref().and_then(|email| dkim(email, domain.as_deref(), all, namespace, found)),
    })
}

/// Which medium it carries, if exactly one is declared.
pub(super) const fn medium(spec: &MessageChannelSpec) -> Option<Medium> {
    match (&spec.sms, &spec.email) {
        (Some(_), None) => Some(Medium::Sms),
        (None, Some(_)) => Some(Medium::Email),
        _ => None,
    }
}

/// What a part costs; the schema lets only well-formed prices through.
pub(super) fn price(spec: &MessageChannelSpec) -> Option<PartPrice> {
    let price = spec.sms.as_ref()?.price.as_ref()?;
    let (whole, part) = price.per_part.split_once('.').unwrap_or((&price.per_part, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 4 {
        return None;
    }
    let per_part = format!("{whole}{part:0<4}").parse().ok()?;
    Some(PartPrice { per_part, currency: price.currency.clone() })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
fn one_second(rate: f64) -> u32 {
    rate.ceil().clamp(1.0, 100_000.0) as u32
}

fn recipients(spec: &MessageChannelSpec, medium: Medium, found: &mut Findings) -> Vec<String> {
    let mut list = Vec::new();
    for (i, text) in spec.test_recipients.iter().enumerate() {
        let normal = match medium {
            Medium::Sms => Phone::parse(text, "RU").map(|p| p.as_str().to_owned()),
            Medium::Email => Email::parse(text).map(|e| e.as_str().to_owned()),
        };
        match normal {
            Ok(address) => list.push(address),
            Err(error) => {
                let text = error.to_string();
                let (what, help) = text.split_once("; ").unwrap_or((&text, "write another one"));
                found.error(&format!("spec.testRecipients[{i}]"), Reason::InvalidValue, format!("this is {what}"), help);
            }
        }
    }
    list
}

fn dkim(
    email: &EmailSenderSpec,
    from: Option<&str>,
    all: &Resources<'_>,
    namespace: &str,
    found: &mut Findings,
) -> Option<DkimWiring> {
    let dkim = email.dkim.as_ref()?;
    let domain = dkim.domain.to_lowercase();
    if let Some(from) = from
        && from != domain
        && !from.ends_with(&format!(".{domain}"))
        && !domain.ends_with(&format!(".{from}"))
    {
        found.warn(
            "spec.email.dkim.domain",
            Reason::Conflict,
            format!("messages come from {from} but are signed by {domain}: mailboxes will not trust that"),
            format!("sign with {from}"),
        );
    }
    let key = &dkim.secret_ref;
    let private_key = all.secret(namespace, &key.name, &key.key, "spec.email.dkim.secretRef", found)?;
    Some(DkimWiring { domain, selector: dkim.selector.clone(), private_key })
}

/// How the channel presents itself, and what is wrong with that. `brand_title` is the policy's.
pub(super) fn sender(spec: &MessageChannelSpec, brand_title: &str, found: &mut Findings) -> Option<Sender> {
    match (&spec.sms, &spec.email) {
        (Some(sms), None) => Some(Sender::Sms(sms_sender(sms, found))),
        (None, Some(email)) => email_sender(email, brand_title, found).map(Sender::Email),
        _ => None,
    }
}

fn sms_sender(sms: &SmsSenderSpec, found: &mut Findings) -> SmsSender {
    let alphanumeric = sms.from.chars().any(|c| c.is_ascii_alphabetic());
    if alphanumeric && sms.opt_out == OptOutSpec::Keyword {
        found.error(
            "spec.sms.optOut",
            Reason::NoOptOut,
            format!("{} is a name: clients cannot reply to it, so no word can stop the messages", sms.from),
            "write optOut: Link",
        );
    }
    if sms.from.chars().count() > 11 && alphanumeric {
        found.error(
            "spec.sms.from",
            Reason::InvalidValue,
            format!("{} is longer than 11 characters", sms.from),
            "networks carry names of at most 11 Latin letters, digits and spaces",
        );
    }
    if let Some(price) = &sms.price {
        let number =
            price.per_part.parse::<f64>().is_ok_and(|p| p.is_finite() && p >= 0.0) && !price.per_part.contains(['e', 'E', '+']);
        if !number {
            found.error(
                "spec.sms.price.perPart",
                Reason::InvalidValue,
                format!("{:?} is not a price", price.per_part),
                "write a number in quotes, like \"4.20\"",
            );
        }
        if price.currency.len() != 3 || !price.currency.chars().all(|c| c.is_ascii_uppercase()) {
            found.error(
                "spec.sms.price.currency",
                Reason::InvalidValue,
                format!("{:?} is not a currency", price.currency),
                "write its three letters, like RUB or EUR",
            );
        }
    }
    if sms.keyword.is_some() && sms.opt_out != OptOutSpec::Keyword {
        found.error(
            "spec.sms.keyword",
            Reason::InvalidUnion,
            "keyword is only used with optOut: Keyword",
            "write optOut: Keyword, or leave keyword out",
        );
    }
    SmsSender {
        from: sms.from.clone(),
        max_parts: u32::try_from(sms.max_parts).unwrap_or(1).max(1),
        opt_out: match sms.opt_out {
            OptOutSpec::Link => OptOut::Link,
            OptOutSpec::Keyword => OptOut::Keyword(sms.keyword.clone().unwrap_or_else(|| "STOP".into())),
            OptOutSpec::None => OptOut::None,
        },
        smart_encoding: sms.encoding == SmsEncoding::Smart,
    }
}

fn email_sender(email: &EmailSenderSpec, brand_title: &str, found: &mut Findings) -> Option<EmailSender> {
    let mut address = |text: &str, path: &str| match Email::parse(text) {
        Ok(address) => Some(address.as_str().to_owned()),
        Err(_) => {
            found.error(
                path,
                Reason::InvalidValue,
                "this is not an email address",
                "write one plain address, like hello@news.example.com",
            );
            None
        }
    };
    let from_address = address(&email.from.address, "spec.email.from.address");
    let reply_to = email.reply_to.as_ref().and_then(|a| address(a, "spec.email.replyTo"));
    let bounce_address = email.bounce_address.as_ref().and_then(|a| address(a, "spec.email.bounceAddress"));
    let manager = email.manager_from.as_ref();
    let names = Names::default();
    let mut template =
        |source: Option<&String>, path: &str| source.and_then(|s| names.template(s, Escape::Header, Use::Sender, path, found));
    let manager_name = template(manager.and_then(|m| m.name.as_ref()), "spec.email.managerFrom.name");
    let manager_reply_to = template(manager.and_then(|m| m.reply_to.as_ref()), "spec.email.managerFrom.replyTo");
    let look = email.look.as_ref();
    Some(EmailSender {
        from_name: email.from.name.clone(),
        from_address: from_address?,
        reply_to,
        manager_name,
        manager_reply_to,
        bounce_address,
        postal_address: email.postal_address.clone(),
        brand_title: brand_title.into(),
        accent_color: look.and_then(|l| l.accent_color.clone()),
        logo_url: look.and_then(|l| l.logo_url.clone()),
    })
}

/// What a provider's settings are resolved with.
struct Scope<'a> {
    all: &'a Resources<'a>,
    namespace: &'a str,
    from: &'a str,
    helo: &'a str,
    medium: Medium,
}

impl Scope<'_> {
    fn provider(&self, provider: &Provider, path: &str, found: &mut Findings) -> Option<ProviderKind> {
        use crate::api::ProviderType;
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
    fn login(&self, name: &str, path: &str, found: &mut Findings) -> Option<(String, super::Secret)> {
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
        self.request_names(spec, &secrets, path, found);
        const ANSWER: [&str; 4] = ["status", "body", "json", "headers"];
        const RECEIPT: [&str; 4] = ["query", "form", "json", "body"];
        let mut rules: Vec<(String, &str, [&str; 4])> = Vec::new();
        rules.extend(spec.accepted.iter().map(|r| (format!("{path}.accepted"), r.as_str(), ANSWER)));
        rules.extend(spec.id.iter().map(|r| (format!("{path}.id"), r.as_str(), ANSWER)));
        rules.extend(spec.errors.iter().enumerate().map(|(i, e)| (format!("{path}.errors[{i}].when"), e.when.as_str(), ANSWER)));
        if let Some(receipts) = &spec.receipts {
            for (member, rule) in [("id", &receipts.id), ("delivered", &receipts.delivered), ("failed", &receipts.failed)] {
                rules.push((format!("{path}.receipts.{member}"), rule, RECEIPT));
            }
        }
        for (place, rule, known) in rules {
            rule::check(rule, &known, &place, found);
        }
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
            success: spec.accepted.clone().unwrap_or_else(|| "status >= 200 && status < 300".into()),
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

    /// The names in `{{ … }}` of a request.
    fn request_names(
        &self,
        spec: &HttpSms,
        secrets: &std::collections::BTreeMap<String, super::Secret>,
        path: &str,
        found: &mut Findings,
    ) {
        const KNOWN: [&str; 8] = ["to", "toDigits", "from", "text", "id", "effect", "receiptUrl", "parts"];
        let request = &spec.request;
        let mut places = vec![(format!("{path}.request.url"), request.url.clone())];
        for (map, name) in [(&request.headers, "headers"), (&request.form, "form")] {
            places.extend(map.iter().map(|(k, v)| (super::finding::member(&format!("{path}.request.{name}"), k), v.clone())));
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
                        let help = super::finding::suggest(key, secrets.keys().map(String::as_str));
                        found.error(place, Reason::SecretNotFound, format!("the Secret has no key {key}"), help);
                    }
                    Some(_) => {}
                    None if KNOWN.contains(&name) => {}
                    None => {
                        let help = super::finding::suggest(name, KNOWN.into_iter().chain(["secret.KEY"]));
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
