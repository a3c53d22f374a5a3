//! `MessageChannel` → the settings of its providers, and the sender that texts are made for.

use super::{
    ChannelWiring, DkimWiring, OnAmbiguous, PartPrice, ProviderWiring,
    finding::{Findings, Reason},
    names::{Names, Use},
    provider::Scope,
    resources::{Parsed, Resources},
};
use crate::api::{EmailSenderSpec, MessageChannelSpec, OnAmbiguousSpec, OptOutSpec, SmsEncoding, SmsSenderSpec};
use crate::content::{Context, EmailSender, Escape, OptOut, Sender, SmsSender};
use crate::model::{Email, Medium, Phone, ascii_domain};

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
    // What texts need of it is checked with every funnel; here for channels that no funnel uses yet. What only texts suffer from is an
    // error there: a channel whose sender an earlier version took must open all the same, or nothing leaves after an upgrade.
    let mut texts = Findings::of(&found.object.kind, &found.object.namespace, &found.object.name).stored(true);
    sender(spec, "", &mut texts);
    found.list.append(&mut texts.list);
    if spec.providers.is_empty() {
        found.error(
            "spec.providers",
            Reason::NoChannel,
            "there is no provider to hand messages to",
            "write at least one, like {name: main, type: Smtp, smtp: {host: mail}}",
        );
    }
    if spec.email.as_ref().is_some_and(|email| !on_one_line(&email.from.name)) {
        found.error(
            "spec.email.from.name",
            Reason::InvalidValue,
            "the sender's name has several lines, or signs that cannot be seen",
            "write it on one line",
        );
    }
    let from = spec.sms.as_ref().map(|s| s.from.as_str()).unwrap_or_default();
    let domain = spec.email.as_ref().and_then(|e| Email::parse(&e.from.address).ok());
    let domain = domain.map(|address| ascii_domain(address.domain()).into_owned());
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
    if spec.rate.per_second.is_nan() || spec.rate.per_second <= 0.0 {
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
        keyword: spec.sms.as_ref().and_then(keyword),
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

/// What a part or an email costs; the schema lets only well-formed prices through.
pub(super) fn price(spec: &MessageChannelSpec) -> Option<PartPrice> {
    let sms = spec.sms.as_ref().and_then(|sms| sms.price.as_ref()).map(|price| (&price.per_part, &price.currency));
    let email = spec.email.as_ref().and_then(|email| email.price.as_ref()).map(|price| (&price.per_message, &price.currency));
    let (each, currency) = sms.or(email)?;
    Some(PartPrice { per_part: ten_thousandths(each)?, currency: currency.clone() })
}

/// `4.20` as `42_000`; at most four digits behind the point.
pub(super) fn ten_thousandths(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 4 {
        return None;
    }
    format!("{whole}{part:0<4}").parse().ok()
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
    let domain = ascii_domain(&dkim.domain.to_lowercase()).into_owned();
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

fn priced(path: &str, price: &str, currency_path: &str, currency: &str, found: &mut Findings) {
    if ten_thousandths(price).is_none() {
        found.error(
            path,
            Reason::InvalidValue,
            format!("{price:?} is not a price"),
            "write a number in quotes, with at most four digits behind the point, like \"4.20\"",
        );
    }
    self::currency(currency_path, currency, found);
}

/// Three capital letters.
pub(super) fn currency(path: &str, currency: &str, found: &mut Findings) {
    if currency.len() != 3 || !currency.chars().all(|c| c.is_ascii_uppercase()) {
        found.error(
            path,
            Reason::InvalidValue,
            format!("{currency:?} is not a currency"),
            "write its three letters, like RUB or EUR",
        );
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
        priced("spec.sms.price.perPart", &price.per_part, "spec.sms.price.currency", &price.currency, found);
    }
    if sms.keyword.is_some() && sms.opt_out != OptOutSpec::Keyword {
        found.error(
            "spec.sms.keyword",
            Reason::InvalidUnion,
            "keyword is only used with optOut: Keyword",
            "write optOut: Keyword, or leave keyword out",
        );
    }
    if let Some(word) = keyword(sms)
        && !word.chars().any(char::is_alphanumeric)
    {
        // Answers are compared by their letters and digits.
        found.error(
            "spec.sms.keyword",
            Reason::NoOptOut,
            format!("{word:?} has no letter and no digit: no answer could be told as it"),
            "write a word, like STOP",
        );
    }
    SmsSender {
        from: sms.from.clone(),
        max_parts: u32::try_from(sms.max_parts).unwrap_or(1).max(1),
        opt_out: match sms.opt_out {
            OptOutSpec::Link => OptOut::Link,
            OptOutSpec::Keyword | OptOutSpec::None => keyword(sms).map_or(OptOut::None, OptOut::Keyword),
        },
        smart_encoding: sms.encoding == SmsEncoding::Smart,
    }
}

/// The word that stops the messages, if one is announced.
pub(super) fn keyword(sms: &SmsSenderSpec) -> Option<String> {
    (sms.opt_out == OptOutSpec::Keyword).then(|| sms.keyword.clone().unwrap_or_else(|| "STOP".into()))
}

/// Whether it can stand in a header.
fn on_one_line(text: &str) -> bool {
    !text.contains(char::is_control)
}

fn email_sender(email: &EmailSenderSpec, brand_title: &str, found: &mut Findings) -> Option<EmailSender> {
    if !on_one_line(&email.from.name) {
        // Told once, of the channel: no email can be tried with it.
        return None;
    }
    if let Some(price) = &email.price {
        priced("spec.email.price.perMessage", &price.per_message, "spec.email.price.currency", &price.currency, found);
    }
    let mut address = |text: &str, path: &str| {
        let address = Email::parse(text).ok();
        if address.is_none() {
            found.error(
                path,
                Reason::InvalidValue,
                "this is not an email address",
                "write one plain address, like hello@news.example.com",
            );
        }
        address.map(|a| a.to_ascii_domain().into_owned())
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
    if let Some(template) = &manager_reply_to {
        let references = template.references();
        let anna = Context::sample(references.iter().map(String::as_str), brand_title, None);
        // What cannot be rendered without the brand's title is looked at with its policy.
        if template.render(&anna).is_ok_and(|address| Email::parse(&address).is_err()) {
            found.warn(
                "spec.email.managerFrom.replyTo",
                Reason::InvalidValue,
                "this makes no email address of a manager's values: answers go to the brand",
                "write one plain address, like \"{{ manager.email }}\"; the name that clients see stands in managerFrom.name",
            );
        }
    }
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
