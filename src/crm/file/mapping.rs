//! A row becomes a deal, a contact or a manager. What cannot be read is left out and counted; the rest of the row counts.

use super::findings::{Findings, Kind};
use super::settings::{CONTACTS_BASE, ContactColumn, DealColumn, FieldAt, ManagerColumn, Settings};
use super::table::{Row, Want, id_hash};
use super::values;
use crate::model::{Contact, ContactConsent, Deal, DealState, Email, FieldValue, Manager, ManagerId, Money, Phone, Text};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use std::collections::{BTreeMap, HashSet};

/// Clocks differ a little; what lies further ahead than this did not happen yet.
const SKEW: SignedDuration = SignedDuration::from_mins(10);

/// What a row is judged by.
pub(super) struct Mapper<'a> {
    pub settings: &'a Settings,
    pub file: &'a str,
    pub wants: &'a [Want],
    pub now: Timestamp,
    pub findings: &'a mut Findings,
}

/// Ids that the other files hold, where there are such files.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub contacts: Option<HashSet<u64>>,
    pub managers: Option<HashSet<u64>>,
}

/// The pipeline that a deal's row names, or the connection for all of them.
pub(super) fn pipeline_of<'r>(row: &'r Row, settings: &'r Settings) -> &'r str {
    match row.cell(DealColumn::Pipeline as usize) {
        "" => settings.pipeline.as_deref().unwrap_or_default(),
        pipeline => pipeline,
    }
}

/// The id of the contact that a deal tells of and gives no id. No contact of the CRM has it: deals and contacts are numbered alike, and
/// deal 7 must not become contact 7.
pub(super) fn own_contact(deal: &str) -> String {
    format!("deal:{deal}")
}

impl Known {
    /// Whether everybody whom a deal's row names has a row of their own, where there are such files.
    pub fn all_of(&self, row: &Row) -> bool {
        let has = |ids: &Option<HashSet<u64>>, id: &str| ids.as_ref().is_none_or(|ids| ids.contains(&id_hash(id)));
        let manager = row.cell(DealColumn::Manager as usize);
        (manager.is_empty() || has(&self.managers, manager))
            && values::several(row.cell(DealColumn::ContactId as usize)).all(|id| has(&self.contacts, id))
    }
}

impl Mapper<'_> {
    /// `inline`: the file holds the contact itself, in columns of its own.
    pub fn deal(&mut self, row: &Row, known: &Known, inline: bool) -> (Deal, Option<Contact>) {
        use DealColumn as D;
        let cell = |column: D| row.cell(column as usize);
        let id = cell(D::Id).to_owned();
        self.flaws(row);
        let stage_title = cell(D::Stage).to_owned();
        let (state, is_named) = self.settings.stage(&stage_title);
        if stage_title.is_empty() {
            self.note(Kind::MissingStage, row, D::Stage as usize, "is blank; write the stage's title (the deal is taken as open)");
        } else if !is_named {
            let what = "is a stage that the connection does not name; add it to `stages` (the deal is taken as open)";
            self.note(Kind::UnknownStage, row, D::Stage as usize, what);
        }
        let manager = (!cell(D::Manager).is_empty()).then(|| ManagerId(cell(D::Manager).to_owned()));
        if let (Some(manager), Some(managers)) = (&manager, &known.managers)
            && !managers.contains(&id_hash(&manager.0))
        {
            self.note(
                Kind::UnknownManager,
                row,
                D::Manager as usize,
                "names a manager that the managers file does not have; add a row there",
            );
        }
        let mut contacts: Vec<String> = values::several(cell(D::ContactId)).map(str::to_owned).collect();
        if let Some(ids) = &known.contacts
            && contacts.iter().any(|c| !ids.contains(&id_hash(c)))
        {
            self.note(
                Kind::UnknownContact,
                row,
                D::ContactId as usize,
                "names a contact that the contacts file does not have; add a row there",
            );
        }
        // A row that refers to the contacts file is told about its contact there.
        let contact = (inline && (known.contacts.is_none() || contacts.is_empty())).then(|| {
            let contact_id = contacts.first().cloned().unwrap_or_else(|| own_contact(&id));
            self.contact_cells(row, contact_id, self.settings.inline, &self.settings.inline_fields)
        });
        let contact = contact.filter(|c| known.contacts.is_none() || !c.phones.is_empty() || !c.emails.is_empty());
        if contacts.is_empty() {
            contacts.extend(contact.as_ref().map(|c| c.id.clone()));
        }
        let closed_at = self.past(row, D::ClosedAt as usize);
        let stage_changed_at = self.past(row, D::StageChangedAt as usize);
        let url = cell(D::Url);
        let is_link = url.starts_with("https://") || url.starts_with("http://");
        if !url.is_empty() && !is_link {
            self.note(Kind::InvalidField, row, D::Url as usize, "is not a link; write it with https://");
        }
        let deal = Deal {
            title: if cell(D::Title).is_empty() { id.clone() } else { cell(D::Title).to_owned() },
            url: is_link.then(|| url.to_owned()),
            pipeline: pipeline_of(row, self.settings).to_owned(),
            stage: stage_title,
            state,
            lost_reason: (!cell(D::LostReason).is_empty()).then(|| cell(D::LostReason).to_owned()),
            amount: self.amount(row),
            currency: self.currency(row),
            manager,
            created_at: self.past(row, D::CreatedAt as usize),
            // Read for its findings only. A file is the whole state, and the one read last is the newest, whatever a column says: clocks are
            // set, zones are mended, CRMs are moved and restored.
            updated_at: self.past(row, D::UpdatedAt as usize).and(None),
            stage_changed_at: stage_changed_at.or(if state == DealState::Open { None } else { closed_at }),
            last_activity_at: self.past(row, D::LastActivityAt as usize),
            next_task_at: self.moment(row, D::NextTaskAt as usize, values::deadline),
            contacts,
            fields: self.fields(row, &self.settings.deal_fields),
            id,
        };
        (deal, contact)
    }

    pub fn contact(&mut self, row: &Row) -> Contact {
        self.flaws(row);
        self.contact_cells(row, row.cell(0).to_owned(), CONTACTS_BASE, &self.settings.contact_fields)
    }

    fn contact_cells(&mut self, row: &Row, id: String, base: usize, fields: &[FieldAt]) -> Contact {
        use ContactColumn as C;
        let at = |column: C| base + column as usize;
        let cell = |column: C| row.cell(at(column));
        let mut phones = Vec::new();
        for text in values::several(cell(C::Phone)) {
            match Phone::parse(text, &self.settings.region) {
                Ok(phone) if !phones.contains(&phone) => phones.push(phone),
                Ok(_) => {}
                Err(error) => self.note(Kind::InvalidPhone, row, at(C::Phone), &format!("is {error}")),
            }
        }
        let mut emails = Vec::new();
        for text in values::several(cell(C::Email)) {
            match Email::parse(text) {
                Ok(email) if !emails.contains(&email) => emails.push(email),
                Ok(_) => {}
                Err(error) => self.note(Kind::InvalidEmail, row, at(C::Email), &format!("is {error}")),
            }
        }
        if phones.is_empty() && emails.is_empty() {
            self.findings.note(Kind::NoAddress, self.file, row.line, || {
                "the contact has neither a phone nor an email that can be used; write one of them".into()
            });
        }
        let zone = cell(C::TimeZone);
        let time_zone = (!zone.is_empty() && TimeZone::get(zone).is_ok()).then(|| zone.to_owned());
        if !zone.is_empty() && time_zone.is_none() {
            self.note(Kind::InvalidTimeZone, row, at(C::TimeZone), "is not a time zone; write a name like Europe/Moscow");
        }
        let language = values::language(cell(C::Language));
        if !cell(C::Language).is_empty() && language.is_none() {
            self.note(Kind::InvalidLanguage, row, at(C::Language), "is not a language; write its code, like ru or en");
        }
        Contact {
            id,
            name: Text(cell(C::Name).to_owned()),
            first_name: (!cell(C::FirstName).is_empty()).then(|| Text(cell(C::FirstName).to_owned())),
            phones,
            emails,
            time_zone,
            language,
            consent: self.consent(row, base),
            fields: self.fields(row, fields),
        }
    }

    pub fn manager(&mut self, row: &Row, known: &HashSet<u64>) -> Manager {
        use ManagerColumn as M;
        let cell = |column: M| row.cell(column as usize);
        self.flaws(row);
        let mut named = |column: M| {
            let id = cell(column);
            if !id.is_empty() && !known.contains(&id_hash(id)) {
                self.note(Kind::UnknownManager, row, column as usize, "names a manager that has no row; add one");
            }
            (!id.is_empty()).then(|| ManagerId(id.to_owned()))
        };
        let (supervisor, deputy) = (named(M::Supervisor), named(M::Deputy));
        let email = (!cell(M::Email).is_empty()).then(|| Email::parse(cell(M::Email)));
        if let Some(Err(error)) = &email {
            self.note(Kind::InvalidEmail, row, M::Email as usize, &format!("is {error}"));
        }
        let phone = (!cell(M::Phone).is_empty()).then(|| Phone::shown(cell(M::Phone), &self.settings.region));
        if let Some(Err(error)) = &phone {
            self.note(Kind::InvalidPhone, row, M::Phone as usize, &format!("is {error}"));
        }
        Manager {
            id: ManagerId(cell(M::Id).to_owned()),
            name: Text(if cell(M::Name).is_empty() { cell(M::Id) } else { cell(M::Name) }.to_owned()),
            first_name: (!cell(M::FirstName).is_empty()).then(|| Text(cell(M::FirstName).to_owned())),
            email: email.and_then(Result::ok),
            phone: phone.and_then(Result::ok),
            supervisor,
            deputy,
            absent_until: self.moment(row, M::AbsentUntil as usize, values::deadline),
        }
    }

    /// A moment that must have happened.
    fn past(&mut self, row: &Row, index: usize) -> Option<Timestamp> {
        let at = self.moment(row, index, values::moment)?;
        if at > self.now.saturating_add(SKEW).unwrap_or(Timestamp::MAX) {
            self.note(Kind::FutureDate, row, index, "lies in the future; write when it happened (it is left out)");
            return None;
        }
        Some(at)
    }

    fn moment(&mut self, row: &Row, index: usize, read: fn(&str, &TimeZone) -> Option<Timestamp>) -> Option<Timestamp> {
        let text = row.cell(index);
        if text.is_empty() {
            return None;
        }
        let at = read(text, &self.settings.zone);
        if at.is_none() {
            self.note(Kind::InvalidDate, row, index, "is not a date; write it like 2026-03-01 or 01.03.2026 10:30");
        }
        at
    }

    fn amount(&mut self, row: &Row) -> Money {
        let text = row.cell(DealColumn::Amount as usize);
        let amount = if text.is_empty() { Some(Money::default()) } else { Money::parse(text) };
        amount.unwrap_or_else(|| {
            self.note(
                Kind::InvalidAmount,
                row,
                DealColumn::Amount as usize,
                "is not an amount up to a trillion, or its comma may mean thousands; write only the number, like 5400000.50",
            );
            Money::default()
        })
    }

    fn currency(&mut self, row: &Row) -> Option<String> {
        let text = row.cell(DealColumn::Currency as usize);
        let code = text.len() == 3 && text.bytes().all(|b| b.is_ascii_alphabetic());
        if !text.is_empty() && !code {
            self.note(Kind::InvalidField, row, DealColumn::Currency as usize, "is not a currency; write its code, like RUB");
        }
        code.then(|| text.to_ascii_uppercase())
    }

    fn consent(&mut self, row: &Row, base: usize) -> ContactConsent {
        use ContactColumn as C;
        let wrong = "is not an answer; write yes, no, or the media agreed to, like sms,email (it is taken as unknown)";
        let at = |column: C| base + column as usize;
        let mut consent = values::consent(row.cell(at(C::Consent))).unwrap_or_else(|| {
            self.note(Kind::InvalidConsent, row, at(C::Consent), wrong);
            ContactConsent::default()
        });
        for (column, medium) in [(C::ConsentSms, &mut consent.sms), (C::ConsentEmail, &mut consent.email)] {
            let text = row.cell(at(column));
            if text.is_empty() {
                continue;
            }
            *medium = values::yes_or_no(text);
            if medium.is_none() {
                self.note(Kind::InvalidConsent, row, at(column), wrong);
            }
        }
        consent
    }

    fn fields(&mut self, row: &Row, fields: &[FieldAt]) -> BTreeMap<String, FieldValue> {
        let mut values = BTreeMap::new();
        for field in fields {
            let text = row.cell(field.index);
            if text.is_empty() {
                continue;
            }
            match values::field(text, field.kind, &self.settings.zone) {
                Ok(value) => {
                    values.insert(field.name.clone(), value);
                }
                Err(help) => self.note(Kind::InvalidField, row, field.index, &format!("is not of its declared type; {help}")),
            }
        }
        values
    }

    fn flaws(&mut self, row: &Row) {
        for (kind, index) in &row.flaws {
            let what = match kind {
                Kind::NulByte => "holds a NUL byte, which is left out; save the file again (as UTF-8, if each row has them)",
                _ => "is longer than 64 KB and left out; shorten it",
            };
            self.note(*kind, row, *index, what);
        }
    }

    fn note(&mut self, kind: Kind, row: &Row, index: usize, what: &str) {
        let column = self.wants.get(index).map_or("", |w| w.key.as_str());
        self.findings.note(kind, self.file, row.line, || format!("{column} {what}"));
    }
}
