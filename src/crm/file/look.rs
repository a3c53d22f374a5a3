//! One look through the files, page by page: managers, contacts, deals. Blocking; memory holds a page and the hashes of ids.

use super::findings::{Findings, Kind};
use super::mapping::{Known, Mapper, own_contact, pipeline_of};
use super::position::{FileMark, Marks, Position};
use super::settings::{ContactColumn, DealColumn, Settings};
use super::source::Input;
use super::table::{Bad, Item, Row, Scan, Table, Want, id_hash};
use super::told::{Telling, Told, row_hash};
use super::values;
use crate::crm::{CrmError, Ids, ReadPage};
use crate::model::Contact;
use crate::store::MOST_PIPELINES;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// The declared files.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    pub deals: Arc<Input>,
    pub contacts: Option<Arc<Input>>,
    pub managers: Option<Arc<Input>>,
}

enum Part {
    Managers(Option<Table>),
    Contacts(Option<Table>),
    Deals(Table),
}

/// A look under way.
pub(super) struct Look {
    settings: Arc<Settings>,
    inputs: Inputs,
    now: Timestamp,
    /// The files as they were when the look began.
    pub marks: Marks,
    part: Part,
    known: Known,
    scans: [Scan; 3],
    findings: Findings,
    inline: bool,
    /// Contacts did not change since the last look: they are read for their findings only.
    contacts_unchanged: bool,
    /// Pipelines with their stages, as the deals name them.
    pipelines: BTreeMap<String, BTreeSet<String>>,
    /// A file was written while we read it.
    torn: bool,
    /// Rows of each file of which nobody can say whose they are.
    hidden: [u64; 3],
    /// Whom rows of deals tell of themselves.
    own: HashSet<u64>,
    /// What the last look told, if all of it was stored; then what this one tells.
    told: Option<Arc<Told>>,
    telling: Telling,
    /// Columns that the last finished look found and that are there no more.
    pub gone: Vec<Gone>,
    /// Who is named as a contact, where a version before may have told contacts of deals under the deals' ids: those are taken back.
    former: Option<HashSet<u64>>,
    /// Contacts told anew while rows may be passed over: another row about one of them is not, because of several the last one counts.
    renewed: HashSet<u64>,
}

/// A column that a file had.
pub(super) struct Gone {
    pub file: String,
    pub column: String,
    /// The manifest says that it is there, and so does no header any more: only the manifest can take it back.
    pub declared: bool,
}

/// What a page says beside its rows.
pub(super) struct Step {
    pub page: ReadPage,
    pub done: bool,
}

/// More of them are noise, as with pipelines: a column was mapped that is not the one of stages.
const MOST_STAGES: usize = 100;

/// As many rows that were told before count as one.
const KNOWN_A_ROW: usize = 16;

const MANAGERS: usize = 0;
const CONTACTS: usize = 1;
const DEALS: usize = 2;

impl Look {
    /// Scans the files for ids. `marks` comes from the stamps just taken; `position` holds those of the last finished look, and `told` is
    /// what is remembered of it.
    pub fn begin(
        settings: Arc<Settings>,
        inputs: Inputs,
        mut marks: Marks,
        position: &Position,
        told: Arc<Told>,
        now: Timestamp,
    ) -> Result<Self, CrmError> {
        let before = &position.files;
        let mut former = (!position.own).then(HashSet::new);
        let mut gone = Vec::new();
        let mut scan = |input: &Option<Arc<Input>>,
                        wants: &Arc<[Want]>,
                        mark: &mut Option<FileMark>,
                        before: &Option<FileMark>,
                        each: &mut dyn FnMut(&Row)|
         -> Result<Scan, CrmError> {
            let Some(input) = input else { return Ok(Scan::default()) };
            let mut scan = Table::open(input, wants, settings.encoding, settings.delimiter)?.scan(each)?;
            let had = before.as_ref().map_or(&[][..], |before| before.columns.as_slice());
            let missed = wants.iter().enumerate().filter(|(index, want)| !scan.has(*index) && had.contains(&want.known_as()));
            gone.extend(missed.map(|(_, want)| Gone {
                file: input.name.clone(),
                column: want.names.first().cloned().unwrap_or_default(),
                declared: want.declared && scan.by_header,
            }));
            if let Some(mark) = mark {
                mark.rows = scan.rows;
                mark.columns = std::mem::take(&mut scan.steady);
            }
            Ok(scan)
        };
        let mut managers = scan(&inputs.managers, &settings.managers, &mut marks.managers, &before.managers, &mut |_| {})?;
        let mut contacts = scan(&inputs.contacts, &settings.contacts, &mut marks.contacts, &before.contacts, &mut |_| {})?;
        let mut named = |row: &Row| {
            if let Some(named) = &mut former {
                named.extend(values::several(row.cell(DealColumn::ContactId as usize)).map(id_hash));
            }
        };
        let own = Some(Arc::clone(&inputs.deals));
        let mut deals = scan(&own, &settings.deals, &mut marks.deals, &before.deals, &mut named)?;
        deals.ids.clear();
        deals.ids.shrink_to_fit();
        let known = Known {
            managers: inputs.managers.is_some().then(|| std::mem::take(&mut managers.ids)),
            contacts: inputs.contacts.is_some().then(|| std::mem::take(&mut contacts.ids)),
        };
        // Without a file of contacts, each line of JSON may tell one, whatever this day's lines leave out.
        let tells = |column: ContactColumn| deals.has(settings.inline + column as usize);
        let inline = !deals.by_header && inputs.contacts.is_none()
            || [ContactColumn::Name, ContactColumn::Phone, ContactColumn::Email].into_iter().any(tells);
        let contacts_unchanged = marks.settings == before.settings
            && matches!((&marks.contacts, &before.contacts), (Some(now), Some(then)) if now.digest == then.digest);
        let table = open(inputs.managers.as_ref(), &settings.managers, &settings)?;
        Ok(Self {
            settings,
            inputs,
            now,
            marks,
            part: Part::Managers(table),
            known,
            scans: [managers, contacts, deals],
            findings: Findings::default(),
            inline,
            contacts_unchanged,
            pipelines: BTreeMap::new(),
            torn: false,
            hidden: [0; 3],
            own: HashSet::new(),
            told: told.is_stored(before).then_some(told),
            telling: Telling::default(),
            gone,
            former,
            renewed: HashSet::new(),
        })
    }

    /// The files that a finished look has seen, and the rows that it told; nothing if one was written meanwhile.
    pub fn seen(self) -> Option<(Marks, Told)> {
        (!self.torn).then(|| (self.marks.clone(), Told::new(self.marks, self.telling)))
    }

    /// What the deals are in.
    pub fn pipelines(&mut self) -> BTreeMap<String, BTreeSet<String>> {
        std::mem::take(&mut self.pipelines)
    }

    fn meet(&mut self, row: &Row) {
        let (pipeline, stage) = (pipeline_of(row, &self.settings), row.cell(DealColumn::Stage as usize));
        if !self.pipelines.contains_key(pipeline) {
            if self.pipelines.len() >= MOST_PIPELINES {
                return;
            }
            self.pipelines.insert(pipeline.to_owned(), BTreeSet::new());
        }
        if let Some(stages) = self.pipelines.get_mut(pipeline)
            && stages.len() < MOST_STAGES
            && !stages.contains(stage)
        {
            stages.insert(stage.to_owned());
        }
    }

    /// The next page of at most `limit` rows, or some times as many of those that were told before.
    pub fn step(&mut self, limit: usize) -> Result<Step, CrmError> {
        let mut page = ReadPage::default();
        let mut places: HashMap<String, usize> = HashMap::new();
        let room = limit.max(1).saturating_mul(KNOWN_A_ROW);
        let mut taken = 0;
        while taken < room {
            let (item, which) = match &mut self.part {
                Part::Managers(table) => (next(table.as_mut())?, MANAGERS),
                Part::Contacts(table) => (next(table.as_mut())?, CONTACTS),
                Part::Deals(table) => (next(Some(table))?, DEALS),
            };
            let Some(item) = item else {
                if self.advance()? {
                    continue;
                }
                return Ok(self.finish(page));
            };
            taken += KNOWN_A_ROW;
            match item {
                Item::Row(row) if self.superseded(&row, which) => {}
                Item::Row(row) if self.pass_over(&row, which, &mut page) => taken -= KNOWN_A_ROW - 1,
                Item::Row(row) => self.take(&row, which, &mut page, &mut places),
                Item::Bad(bad) => self.bad(bad, which, &mut page),
            }
        }
        Ok(Step { page, done: false })
    }

    /// On to the next file; false behind the last one.
    fn advance(&mut self) -> Result<bool, CrmError> {
        self.part = match self.part {
            Part::Managers(_) => Part::Contacts(open(self.inputs.contacts.as_ref(), &self.settings.contacts, &self.settings)?),
            Part::Contacts(_) => {
                Part::Deals(Table::open(&self.inputs.deals, &self.settings.deals, self.settings.encoding, self.settings.delimiter)?)
            }
            Part::Deals(_) => return Ok(false),
        };
        let (wants, which) = match &self.part {
            Part::Contacts(Some(_)) => (&self.settings.contacts, CONTACTS),
            Part::Deals(_) => (&self.settings.deals, DEALS),
            _ => return Ok(true),
        };
        let has = |which: usize, index: usize| self.scans.get(which).is_some_and(|scan| scan.has(index));
        // A field of the client may stand beside the deals instead.
        let beside = |key: &str| {
            which == CONTACTS && self.settings.inline_fields.iter().any(|field| field.name == key && has(DEALS, field.index))
        };
        let file = name(&self.inputs, which);
        for (index, want) in wants.iter().enumerate() {
            if !want.declared || has(which, index) || beside(&want.key) {
                continue;
            }
            self.findings.note(Kind::MissingColumn, file, 1, || {
                let column = want.names.first().map_or("", String::as_str);
                format!(
                    "there is no column `{column}`, which {} is mapped to; add it, or take it out of `columns` or `fields`",
                    want.key
                )
            });
        }
        Ok(true)
    }

    fn superseded(&mut self, row: &Row, which: usize) -> bool {
        let last = self.scans.get(which).and_then(|scan| scan.last.get(&id_hash(row.cell(0)))).copied();
        let Some(last) = last.filter(|last| *last != row.line) else { return false };
        let file = name(&self.inputs, which);
        self.findings.note(Kind::DuplicateId, file, row.line, || {
            format!("the same id stands again in line {last}, which is the one used; keep one row")
        });
        true
    }

    /// Whether the last look told this very row, so that there is nothing to say but that it is still there.
    fn pass_over(&mut self, row: &Row, which: usize, page: &mut ReadPage) -> bool {
        let Some(told) = &self.told else { return false };
        let hash = row_hash(row, self.inline);
        match which {
            CONTACTS if told.contact(hash) => self.telling.contact(id_hash(row.cell(0)), hash),
            DEALS if told.deal(hash) && self.known.all_of(row) && !self.renewed.contains(&whose(row, self.inline)) => {
                self.meet(row);
                page.kept.push(row.cell(0).to_owned());
                if self.inline && (self.known.contacts.is_none() || row_names_nobody(row)) {
                    self.own.insert(whose(row, self.inline));
                }
                self.telling.deal(whose(row, self.inline), hash);
            }
            _ => return false,
        }
        true
    }

    fn take(&mut self, row: &Row, which: usize, page: &mut ReadPage, places: &mut HashMap<String, usize>) {
        let wants = match which {
            MANAGERS => &self.settings.managers,
            CONTACTS => &self.settings.contacts,
            _ => &self.settings.deals,
        };
        let noted = self.findings.count();
        let mut mapper = Mapper {
            settings: &self.settings,
            file: name(&self.inputs, which),
            wants,
            now: self.now,
            findings: &mut self.findings,
        };
        match which {
            MANAGERS => {
                let none = HashSet::new();
                page.managers.push(mapper.manager(row, self.known.managers.as_ref().unwrap_or(&none)));
            }
            CONTACTS => {
                let contact = mapper.contact(row);
                if self.told.is_some() {
                    self.renewed.insert(id_hash(row.cell(0)));
                }
                if !self.contacts_unchanged {
                    put(contact, page, places);
                }
            }
            _ => {
                let (deal, contact) = mapper.deal(row, &self.known, self.inline);
                if let Some(contact) = contact {
                    self.own.insert(id_hash(&contact.id));
                    if self.told.is_some() {
                        self.renewed.insert(whose(row, self.inline));
                    }
                    if let Some(former) = self.former_of(&contact, row) {
                        put(former, page, places);
                    }
                    put(contact, page, places);
                }
                self.meet(row);
                page.deals.push(deal);
            }
        }
        if self.findings.count() == noted {
            let hash = row_hash(row, self.inline);
            match which {
                MANAGERS => {}
                CONTACTS => self.telling.contact(id_hash(row.cell(0)), hash),
                _ => self.telling.deal(whose(row, self.inline), hash),
            }
        }
    }

    /// The contact that a version before told under the deal's own id, if nobody else has that id: without addresses and words, for it is
    /// told under another id now, and what it said would be held against that one for ever.
    fn former_of(&self, contact: &Contact, row: &Row) -> Option<Contact> {
        let id = row.cell(0);
        let hash = id_hash(id);
        let is_other = |ids: &Option<HashSet<u64>>| ids.as_ref().is_some_and(|ids| ids.contains(&hash));
        let taken_back =
            contact.id == own_contact(id) && self.former.is_some() && !is_other(&self.former) && !is_other(&self.known.contacts);
        taken_back.then(|| Contact { id: id.to_owned(), ..Contact::default() })
    }

    fn bad(&mut self, bad: Bad, which: usize, page: &mut ReadPage) {
        self.findings.note(bad.kind, name(&self.inputs, which), bad.line, || bad.what.to_owned());
        if let Some(hidden) = self.hidden.get_mut(which) {
            *hidden += u64::from(bad.hidden);
        }
        if which == DEALS {
            self.own.extend(bad.id.as_deref().map(own_hash));
            // Whom else it names, and may be the only one to tell of, nobody knows.
            let tells_others = self.inline && self.known.contacts.is_none() && self.names_contacts();
            if let Some(hidden) = self.hidden.get_mut(CONTACTS) {
                *hidden += u64::from(tells_others && bad.id.is_some());
            }
            page.kept.extend(bad.id);
        }
    }

    fn names_contacts(&self) -> bool {
        self.scans.get(DEALS).is_some_and(|scan| scan.has(DealColumn::ContactId as usize))
    }

    fn finish(&mut self, mut page: ReadPage) -> Step {
        // A file that was written while we read it may have shown us half of two states.
        let same = [(&self.marks.managers, &self.inputs.managers), (&self.marks.contacts, &self.inputs.contacts)]
            .into_iter()
            .chain([(&self.marks.deals, &Some(Arc::clone(&self.inputs.deals)))])
            .all(|(mark, input)| match (mark, input) {
                (Some(mark), Some(input)) => input.stamp().is_ok_and(|stamp| stamp.same(&mark.stamp)),
                _ => true,
            });
        self.torn = !same;
        for ((which, what), hidden) in [(MANAGERS, "manager"), (CONTACTS, "contact"), (DEALS, "deal")].into_iter().zip(self.hidden)
        {
            if hidden > 0 {
                self.findings.note(Kind::DeletionsWithheld, name(&self.inputs, which), 1, || {
                    format!("{hidden} rows cannot be told apart, so no missing {what} is taken as deleted; repair them")
                });
            }
        }
        let [managers, contacts, deals] = self.hidden.map(|hidden| hidden == 0);
        (page.full_look, page.torn) = (!self.torn && deals, self.torn);
        if page.full_look && managers {
            page.managers_there = self.known.managers.take().map(|ids| Ids::new(ids, id_hash));
        }
        // Where the file is as it was, and no deal tells of contacts, nobody can have left.
        if page.full_look && contacts && (self.inline || !self.contacts_unchanged) {
            let own = std::mem::take(&mut self.own);
            let there = match self.known.contacts.take() {
                Some(mut ids) => {
                    ids.extend(own);
                    Some(ids)
                }
                None => self.inline.then_some(own),
            };
            page.contacts_there = there.map(|ids| Ids::new(ids, id_hash));
        }
        page.findings = self.findings.list();
        Step { page, done: true }
    }
}

/// Whose contact a deal's row tells: the first that it names, else the deal's own. `inline`: it tells one.
fn whose(row: &Row, inline: bool) -> u64 {
    let named = if inline { values::several(row.cell(DealColumn::ContactId as usize)).next() } else { None };
    named.map_or_else(|| own_hash(row.cell(0)), id_hash)
}

/// The contact that a deal's row tells of itself, as the mapper names it.
fn own_hash(deal: &str) -> u64 {
    id_hash(&own_contact(deal))
}

fn row_names_nobody(row: &Row) -> bool {
    values::several(row.cell(DealColumn::ContactId as usize)).next().is_none()
}

/// A store takes each id once a page; the last row counts.
fn put(contact: Contact, page: &mut ReadPage, places: &mut HashMap<String, usize>) {
    if let Some(place) = places.get(&contact.id).and_then(|i| page.contacts.get_mut(*i)) {
        *place = contact;
    } else {
        places.insert(contact.id.clone(), page.contacts.len());
        page.contacts.push(contact);
    }
}

fn open(input: Option<&Arc<Input>>, wants: &Arc<[Want]>, settings: &Settings) -> Result<Option<Table>, CrmError> {
    input.map(|input| Table::open(input, wants, settings.encoding, settings.delimiter)).transpose()
}

fn next(table: Option<&mut Table>) -> Result<Option<Item>, CrmError> {
    table.map_or(Ok(None), Table::next)
}

fn name(inputs: &Inputs, which: usize) -> &str {
    let input = match which {
        MANAGERS => inputs.managers.as_ref(),
        // Without a file of their own they stand beside the deals.
        CONTACTS => inputs.contacts.as_ref().or(Some(&inputs.deals)),
        _ => Some(&inputs.deals),
    };
    input.map_or("", |i| i.name.as_str())
}
