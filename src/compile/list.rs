//! `ContentList` → the engine's list and the texts, as one funnel uses them.

use super::{
    date,
    finding::{Findings, Reason, suggest},
    longest::{self, Trial, What, Wording},
    names::Names,
    text::{self, Read},
    time,
};
use crate::api::{ContentListSpec, EmailText, Field, FieldType, ItemSpec, OverdueSpec, SmsText, VariantSpec};
use crate::content::{ItemText, RenderError, Sender};
use crate::engine::{Condition, Item, List, Overdue, Policy, Variant};
use crate::model::{HumanDuration, Medium, Purpose, SendAs};
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};

/// As the definition says; a list that did not pass it is not read to its end.
const MAX_ITEMS: usize = 500;

/// A channel of the funnel.
pub(super) struct ChannelOf {
    /// The funnel's name for it.
    pub name: String,
    pub medium: Medium,
    /// `None` after a finding.
    pub sender: Option<Sender>,
}

/// What a list is compiled for.
pub(super) struct For<'a> {
    pub names: &'a Names,
    pub fields: &'a [Field],
    /// `None`: no funnel uses it yet.
    pub policy: Option<&'a Policy>,
    pub channels: &'a [ChannelOf],
    /// Whether all channels that the funnel names exist: else nobody knows what is missing.
    pub all_channels: bool,
    /// For messages.
    pub funnel: &'a str,
    pub brand_title: &'a str,
}

/// `funnel`: findings about the funnel that uses it.
pub(super) fn list(
    name: &str,
    spec: &ContentListSpec,
    scope: &For<'_>,
    found: &mut Findings,
    funnel: &mut Findings,
) -> (List, BTreeMap<String, ItemText>) {
    let mut texts = BTreeMap::new();
    let mut items: Vec<Item> = Vec::new();
    if spec.items.is_empty() {
        found.error("spec.items", Reason::NeverOpens, "the list has no items", "write at least one");
    }
    if spec.items.len() > MAX_ITEMS {
        found.error(
            "spec.items",
            Reason::InvalidValue,
            format!("{} items are more than a client will ever get", spec.items.len()),
            format!("write at most {MAX_ITEMS}, and choose between lists with content rules"),
        );
    }
    for (i, item) in spec.items.iter().take(MAX_ITEMS).enumerate() {
        let path = format!("spec.items[{i}]");
        if items.iter().any(|other| other.name == item.name) {
            found.error(
                &format!("{path}.name"),
                Reason::Duplicate,
                format!("two items are named {}", item.name),
                "give one of them another name",
            );
        }
        let one = OneItem { list: name, item, path: &path, scope };
        if let Some((planned, text)) = one.compile(&spec.utm, found, funnel) {
            items.push(planned);
            texts.extend(text.map(|t| (item.name.clone(), t)));
        }
    }
    text::utm(&spec.utm, found);
    let stop_when = spec.stop_when.as_ref().and_then(|c| scope.names.condition(c, "spec.stopWhen", found));
    let overdue = match spec.overdue {
        OverdueSpec::Spread => Overdue::Spread,
        OverdueSpec::Send => Overdue::Send,
        OverdueSpec::Skip => Overdue::Skip,
    };
    let title = spec.title.clone().unwrap_or_else(|| name.to_owned());
    (List { name: name.into(), title, items, overdue, stop_when }, texts)
}

struct OneItem<'a> {
    list: &'a str,
    item: &'a ItemSpec,
    path: &'a str,
    scope: &'a For<'a>,
}

impl OneItem<'_> {
    fn compile(
        &self,
        utm: &BTreeMap<String, String>,
        found: &mut Findings,
        funnel: &mut Findings,
    ) -> Option<(Item, Option<ItemText>)> {
        let Self { item, path, scope, .. } = *self;
        let before = found.list.len();
        let medium = match (&item.sms, &item.email) {
            (Some(_), None) => Medium::Sms,
            (None, Some(_)) => Medium::Email,
            _ => {
                found.error(
                    path,
                    Reason::InvalidUnion,
                    "exactly one of sms, email must be set",
                    "write sms: {text: …} or email: {subject: …, markdown: …}",
                );
                return None;
            }
        };
        let purpose = item.purpose.unwrap_or_default();
        let declared: BTreeSet<String> = item.links.keys().cloned().collect();
        let channel = self.channel(medium, found, funnel);
        let sender = channel.and_then(|c| c.sender.as_ref());

        let main = self.body(item.sms.as_ref(), item.email.as_ref(), &declared, purpose, path, found);
        let (variants, variant_bodies) = self.variants(medium, &declared, purpose, found);
        let translations = self.translations(medium, &declared, purpose, found);

        let used: BTreeSet<String> =
            main.iter().chain(variant_bodies.values()).chain(translations.values()).flat_map(|r| r.links.iter().cloned()).collect();
        // Of a text that cannot be read nobody knows which links it uses.
        let used = (!found.failed_since(before)).then_some(&used);
        let links = text::links(&item.links, used, scope.names, path, found);
        let send_as = item.send_as.unwrap_or_default();

        let (valid_from, valid_until) = self.validity(found);
        self.expiry(found);
        let at = item.at.as_ref().and_then(|t| time::time_of_day(t, false, &format!("{path}.at"), found));
        let days = time::days(&item.days);
        if let Some(policy) = scope.policy
            && (at.is_some() || !days.is_empty())
            && !time::opens(&policy.windows, at, &days)
        {
            found.warn(
                &format!("{path}.{}", if at.is_some() { "at" } else { "days" }),
                Reason::NeverOpens,
                format!("the windows of policy {} are closed then, so it always waits for the next opening", policy.name),
                "choose a time or day within the windows",
            );
        }
        let when = item.when.as_ref().and_then(|c| scope.names.condition(c, &format!("{path}.when"), found));
        let date = item.date.as_ref().and_then(|d| date::rule(d, item, scope.fields, path, found));
        let languages: Vec<String> = translations.keys().cloned().collect();
        self.unread(found);
        self.signature(send_as, medium, channel, found);
        let text = self.text(main, variant_bodies, translations, links, utm, sender);
        if let Some(text) = &text
            && !found.failed_since(before)
        {
            let known: BTreeSet<String> = when.iter().flat_map(Condition::identifiers).map(str::to_owned).collect();
            self.trials(text, &languages, &known, found);
        }
        let planned = Item {
            name: item.name.clone(),
            title: item.title.clone().unwrap_or_else(|| item.name.clone()),
            after: item.after.unwrap_or_default(),
            at,
            days,
            date,
            when,
            purpose,
            medium,
            channel: item.channel.clone(),
            send_as,
            valid_from,
            valid_until,
            expires_after: item.expires_after,
            requires: text.as_ref().map(|t| requires(t, send_as)).unwrap_or_default(),
            variants,
        };
        Some((planned, text))
    }

    /// The funnel's channel that the item goes through.
    fn channel(&self, medium: Medium, found: &mut Findings, funnel: &mut Findings) -> Option<&ChannelOf> {
        let Self { item, path, scope, list } = *self;
        scope.policy?;
        let kind = match medium {
            Medium::Sms => "SMS",
            Medium::Email => "email",
        };
        let Some(name) = &item.channel else {
            let first = scope.channels.iter().find(|c| c.medium == medium);
            let help = format!("add one, like {{name: {}, ref: {{name: …}}}}", kind.to_lowercase());
            // Told once, not for every item.
            if first.is_none() && scope.all_channels && !funnel.list.iter().any(|f| f.help == help) {
                let message = format!("the item {list}/{} is an {kind}, but the funnel has no channel for it", item.name);
                funnel.error("spec.channels", Reason::NoChannel, message, help);
            }
            return first;
        };
        let path = format!("{path}.channel");
        match scope.channels.iter().find(|c| c.name == *name) {
            Some(channel) if channel.medium == medium => Some(channel),
            Some(_) => {
                found.error(
                    &path,
                    Reason::NoChannel,
                    format!("the channel {name} of funnel {} does not carry {kind}", scope.funnel),
                    "name one that does, or leave channel out",
                );
                None
            }
            None if !scope.all_channels => None,
            None => {
                let known = scope.channels.iter().filter(|c| c.medium == medium).map(|c| c.name.as_str());
                found.error(
                    &path,
                    Reason::NoChannel,
                    format!("the funnel {} has no channel {name}", scope.funnel),
                    suggest(name, known),
                );
                None
            }
        }
    }

    fn body(
        &self,
        sms: Option<&SmsText>,
        email: Option<&EmailText>,
        declared: &BTreeSet<String>,
        purpose: Purpose,
        path: &str,
        found: &mut Findings,
    ) -> Option<Read> {
        let (read, member) = match (sms, email) {
            (Some(sms), _) => (text::sms(sms, self.scope.names, declared, path, found)?, "sms.text"),
            (None, Some(email)) => {
                (text::email(email, self.scope.names, declared, purpose == Purpose::Advertising, path, found)?, "email")
            }
            (None, None) => return None,
        };
        text::formless(&read.body, self.scope.fields, &format!("{path}.{member}"), found);
        Some(read)
    }

    fn variants(
        &self,
        medium: Medium,
        declared: &BTreeSet<String>,
        purpose: Purpose,
        found: &mut Findings,
    ) -> (Vec<Variant>, BTreeMap<String, Read>) {
        let (mut list, mut bodies) = (Vec::<Variant>::new(), BTreeMap::new());
        let given = &self.item.variants;
        for (i, variant) in given.iter().enumerate() {
            let path = format!("{}.variants[{i}]", self.path);
            if list.iter().any(|v| v.name == variant.name) {
                found.error(
                    &format!("{path}.name"),
                    Reason::Duplicate,
                    format!("two variants are named {}", variant.name),
                    "give one of them another name",
                );
            }
            self.same_medium(medium, variant.sms.is_some(), variant.email.is_some(), &path, found);
            let weight = variant.weight.unwrap_or(1);
            if weight < 0 {
                found.error(
                    &format!("{path}.weight"),
                    Reason::InvalidValue,
                    "a share cannot be below zero",
                    "write 1 for equal shares",
                );
            }
            list.push(Variant { name: variant.name.clone(), weight: u32::try_from(weight).unwrap_or(0) });
            if let Some(read) = self.body(variant.sms.as_ref(), variant.email.as_ref(), declared, purpose, &path, found) {
                bodies.insert(variant.name.clone(), read);
            }
        }
        let path = format!("{}.variants", self.path);
        if !list.is_empty() && list.iter().all(|v| v.weight == 0) {
            found.error(
                &path,
                Reason::NeverOpens,
                "all variants have the weight 0",
                "give those that are to be sent a weight of at least 1",
            );
        } else if list.iter().filter(|v| v.weight > 0).count() == 1 {
            found.warn(
                &path,
                Reason::Incomplete,
                "there is only one variant, so nothing is compared",
                "add another one, or write its text into the item",
            );
        }
        (list, bodies)
    }

    fn translations(
        &self,
        medium: Medium,
        declared: &BTreeSet<String>,
        purpose: Purpose,
        found: &mut Findings,
    ) -> BTreeMap<String, Read> {
        let mut bodies = BTreeMap::new();
        for (i, translation) in self.item.translations.iter().enumerate() {
            let path = format!("{}.translations[{i}]", self.path);
            if !self.same_medium(medium, translation.sms.is_some(), translation.email.is_some(), &path, found) {
                continue;
            }
            let language = translation.language.to_lowercase();
            if translation.sms.is_none() && translation.email.is_none() {
                found.error(&path, Reason::InvalidUnion, "the translation has no text", "write sms: or email: as the item does");
            }
            let read = self.body(translation.sms.as_ref(), translation.email.as_ref(), declared, purpose, &path, found);
            if let Some(read) = read
                && bodies.insert(language.clone(), read).is_some()
            {
                found.error(
                    &format!("{path}.language"),
                    Reason::Duplicate,
                    format!("{language} is there twice"),
                    "keep one of them",
                );
            }
        }
        bodies
    }

    /// A variant's own text comes before a translation: whoever reads another language gets it all the same.
    fn unread(&self, found: &mut Findings) {
        let (own, others): (Vec<_>, Vec<_>) = self
            .item
            .variants
            .iter()
            .filter(|variant| variant.weight != Some(0))
            .partition(|variant| variant.sms.is_some() || variant.email.is_some());
        if own.is_empty() || self.item.translations.is_empty() {
            return;
        }
        let names = |list: &[&VariantSpec]| list.iter().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", ");
        let languages = self.item.translations.iter().map(|t| t.language.as_str()).collect::<Vec<_>>().join(", ");
        let first = format!("clients with the language {languages} get the own texts of {} and no translation", names(&own));
        found.warn(
            &format!("{}.translations", self.path),
            Reason::Unreachable,
            if others.is_empty() {
                first
            } else {
                format!("{first}; the translation goes to those whose variant is {}, and counts for it", names(&others))
            },
            "keep variants or translations, or write an item for a language, with when: client.language == 'en'",
        );
    }

    /// Whether a manager's name can be seen at all.
    fn signature(&self, send_as: SendAs, medium: Medium, channel: Option<&ChannelOf>, found: &mut Findings) {
        let path = format!("{}.as", self.path);
        match (send_as, medium, channel.and_then(|c| Some((&c.name, c.sender.as_ref()?)))) {
            (SendAs::Brand, ..) => {}
            (_, Medium::Sms, _) => found.warn(
                &path,
                Reason::Unreachable,
                "an SMS comes from the channel's number or name, never from a manager",
                "leave it out, and name the manager in the text: {{ manager.firstName }}",
            ),
            (_, Medium::Email, Some((name, Sender::Email(sender))))
                if sender.manager_name.is_none() && sender.manager_reply_to.is_none() =>
            {
                found.warn(
                    &path,
                    Reason::Unreachable,
                    format!("the channel {name} does not say how a manager signs, so the email comes from the brand"),
                    "write into the channel managerFrom: {name: \"{{ manager.name }}\", replyTo: \"{{ manager.email }}\"}, or leave it out",
                );
            }
            _ => {}
        }
    }

    fn same_medium(&self, medium: Medium, sms: bool, email: bool, path: &str, found: &mut Findings) -> bool {
        let (other, help) = match medium {
            Medium::Sms => (email, "write sms: {text: …}"),
            Medium::Email => (sms, "write email: {subject: …, markdown: …}"),
        };
        if other {
            found.error(path, Reason::InvalidUnion, format!("the item {} is not of that medium", self.item.name), help);
        }
        !other
    }

    /// Renders every wording for the longest plausible client and for those whom it tells apart. `known`: what each of them has.
    fn trials(&self, text: &ItemText, languages: &[String], known: &BTreeSet<String>, found: &mut Findings) {
        let variants = self.item.variants.iter().enumerate().filter(|(_, v)| v.sms.is_some() || v.email.is_some());
        let place = |language: &str| self.item.translations.iter().position(|t| t.language.to_lowercase() == language);
        let wordings = std::iter::once((None, None, self.path.to_owned()))
            .chain(variants.map(|(i, v)| (Some(v.name.as_str()), None, format!("{}.variants[{i}]", self.path))))
            .chain(
                languages
                    .iter()
                    .filter_map(|l| Some((None, Some(l.as_str()), format!("{}.translations[{}]", self.path, place(l)?)))),
            );
        for (variant, language, path) in wordings {
            let For { brand_title, fields, .. } = *self.scope;
            let wording = Wording { variant, language, brand_title, fields, known };
            // What is in force was tried by the version that took it, and goes on.
            for trial in longest::trials(text, &wording, !found.is_stored()) {
                self.tell(&trial, &path, found);
            }
        }
    }

    fn tell(&self, trial: &Trial, path: &str, found: &mut Findings) {
        let path = match trial.part {
            Some(part) => format!("{path}.email.{part}"),
            None if self.item.sms.is_some() => format!("{path}.sms.text"),
            None => format!("{path}.email"),
        };
        let longest = trial.who.is_empty();
        let shorten = |over| format!("shorten it by about {over} characters, or raise maxParts of the channel");
        match &trial.what {
            What::TooLong(long) => {
                let who = if longest {
                    "with long names, links and the way to stop".to_owned()
                } else {
                    format!("with long names, links and the way to stop, and where {}", trial.who)
                };
                let message = format!("{who}, the SMS has {} parts; the channel allows {}", long.parts, long.max);
                found.refuse(&path, Reason::TooManyParts, message, shorten(long.over));
            }
            What::TooLongInUnicode(long) => found.warn(
                &path,
                Reason::TooManyParts,
                format!(
                    "for a client whose values have a letter outside the GSM alphabet (Łukasz, Мария) the SMS may have {} parts; the \
                     channel allows {}, so they would not get it",
                    long.parts, long.max
                ),
                shorten(long.over),
            ),
            What::Fails(RenderError::Empty) if !longest => found.warn(
                &path,
                Reason::InvalidTemplate,
                format!("where {}, nothing is left of it, so it is not sent", trial.who),
                "write what these clients read behind {% else %}, or say who is meant in the item's when",
            ),
            What::Fails(error) => {
                let text = error.to_string();
                let (what, help) = text.split_once("; ").unwrap_or((&text, "see the preview of this item"));
                let place = if longest { String::new() } else { format!("where {}, ", trial.who) };
                let message = format!("{place}it cannot be rendered: {what}");
                let declared = self.declare(error);
                // The CRM may well hold numbers in a text: only where every client meets it, it must be declared. And a zero that was only
                // made up beside a number of the text may be in no deal.
                let unsure = !longest && (declared.is_some() || matches!(error, RenderError::DividesByZero));
                let help = declared.unwrap_or_else(|| help.to_owned());
                if unsure {
                    found.warn(&path, Reason::InvalidTemplate, message, help);
                } else {
                    found.refuse(&path, Reason::InvalidTemplate, message, help);
                }
            }
        }
    }

    /// What to write where a declared field of the type String is computed with.
    fn declare(&self, error: &RenderError) -> Option<String> {
        let (at, kind) = match error {
            RenderError::NotANumber(at) => (at, "Number"),
            RenderError::NotADate(at) => (at, "Date"),
            _ => return None,
        };
        let path = at.split(" | ").next()?;
        let field = self.scope.fields.iter().find(|field| longest::path_of(field) == path)?;
        matches!(field.kind, None | Some(FieldType::String))
            .then(|| format!("{path} is declared as a text: write type: {kind} for {} in the connection's spec.fields", field.name))
    }

    fn validity(&self, found: &mut Findings) -> (Option<jiff::Timestamp>, Option<jiff::Timestamp>) {
        let zone = self.scope.policy.map_or(TimeZone::UTC, |p| p.time_zone.clone());
        let mut moment = |text: Option<&String>, member: &str| {
            text.and_then(|t| time::moment(t, &zone, &format!("{}.{member}", self.path), found))
        };
        let (from, until) =
            (moment(self.item.valid_from.as_ref(), "validFrom"), moment(self.item.valid_until.as_ref(), "validUntil"));
        if let (Some(from), Some(until)) = (from, until)
            && until <= from
        {
            found.error(
                &format!("{}.validUntil", self.path),
                Reason::NeverOpens,
                "it ends before it begins, so it is never sent",
                "write a later validUntil",
            );
        }
        (from, until)
    }

    /// Nothing is sent at the very instant of its moment: one that may not wait at all is always too late.
    fn expiry(&self, found: &mut Findings) {
        if self.item.expires_after.is_some_and(HumanDuration::is_zero) {
            found.refuse(
                &format!("{}.expiresAfter", self.path),
                Reason::NeverOpens,
                "it would be too old at once, so it is never sent",
                "write a time, like 12h, or leave it out: then it waits as long as it takes",
            );
        }
    }

    fn text(
        &self,
        main: Option<Read>,
        variants: BTreeMap<String, Read>,
        translations: BTreeMap<String, Read>,
        links: Vec<(String, crate::content::Template)>,
        utm: &BTreeMap<String, String>,
        sender: Option<&Sender>,
    ) -> Option<ItemText> {
        let body = main?.body;
        let sender = sender?.clone();
        Some(ItemText {
            title: self.item.title.clone().unwrap_or_else(|| self.item.name.clone()),
            // A variant without own text uses the item's.
            variants: variants.into_iter().map(|(name, read)| (name, read.body)).collect(),
            translations: translations.into_iter().map(|(language, read)| (language, read.body)).collect(),
            body,
            links,
            utm: utm.clone(),
            sender,
        })
    }
}

/// Values of the client, the deal or the manager without which the item cannot be sent in any wording.
fn requires(text: &ItemText, send_as: SendAs) -> Vec<String> {
    let mut all: BTreeSet<String> = text.requires().into_iter().collect();
    if send_as == SendAs::Manager
        && let Sender::Email(email) = &text.sender
    {
        all.extend(email.manager_name.iter().flat_map(crate::content::Template::requires));
    }
    all.retain(|path| text::is_value(path));
    all.into_iter().collect()
}
