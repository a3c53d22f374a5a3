//! The `file` connector: deals, contacts and managers in CSV or JSONL files that another program exports.
//!
//! The files are looked at again when their time, size or inode changes, and read when their content really differs. A look
//! hands out managers, contacts and deals in pages; telling changed deals from unchanged ones is the caller's part. Bad rows are
//! counted and never stop the rest.
//!
//! A file is not always what it seems. One without any row, after one with rows, is never believed. One that lost more than
//! half of at least 20 rows is believed when it was seen unchanged three times. One that lost a column is believed when it was seen
//! without it three times, or never as long as the manifest says that the column is there: all deals would change at once. One that is
//! older than `maxAge` is not the CRM's state. While rows cannot be told apart, or when a file was written during the look, no missing
//! deal, contact or manager counts as deleted.

mod findings;
mod look;
mod mapping;
mod position;
mod records;
mod settings;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod told;
mod values;

use super::connector::{Connector, CrmError, ReadPage, WriteBack};
use super::write_back::WriteBacks;
use crate::compile::{ConnectionKind, ConnectionWiring, FileWiring};
use crate::model::Outcome;
use crate::store::Cursor;
use jiff::Timestamp;
use look::{Gone, Inputs, Look};
use position::{FileMark, Marks, Position, Progress};
use settings::Settings;
use source::{Input, Stamp, digest_of};
use std::{collections::BTreeMap, sync::Arc, time::SystemTime};
use tokio::sync::Mutex;
use told::Told;

/// Fewer rows than this may halve without arousing suspicion.
const MANY: u64 = 20;
/// How often a much smaller file must be seen, unchanged, before it is believed.
const SIGHTINGS: u32 = 3;

/// A connection to exported files.
pub struct FileConnector {
    settings: Arc<Settings>,
    /// Digest of everything that decides what a row means.
    meaning: String,
    inputs: Inputs,
    state: Mutex<State>,
    out: WriteBacks,
}

#[derive(Default)]
struct State {
    looks: u64,
    under_way: Option<(Progress, Look)>,
    /// The rows of the last finished look.
    told: Arc<Told>,
    /// What is not believed yet: files that shrank too much, by what they hold, and columns that are gone. As what it was seen, and how
    /// often.
    suspicion: BTreeMap<&'static str, (String, u32)>,
}

impl FileConnector {
    /// # Errors
    /// [`CrmError::Settings`] for an unknown encoding or time zone, or a webhook that cannot be called.
    pub fn new(connection: &ConnectionWiring) -> Result<Self, CrmError> {
        let ConnectionKind::File(wiring) = &connection.kind;
        let input = |source| Arc::new(Input::new(source));
        Ok(Self {
            settings: Arc::new(Settings::new(connection, wiring)?),
            meaning: meaning(connection, wiring),
            inputs: Inputs {
                deals: input(&wiring.deals),
                contacts: wiring.contacts.as_ref().map(input),
                managers: wiring.managers.as_ref().map(input),
            },
            state: Mutex::default(),
            out: WriteBacks::new(wiring.journal.clone(), wiring.webhook.as_ref())?,
        })
    }

    /// Begins a look, or says that nothing changed.
    async fn begin(&self, position: &Position, state: &mut State, now: Timestamp) -> Result<Begun, CrmError> {
        let (inputs, meaning, from) = (self.inputs.clone(), self.meaning.clone(), position.clone());
        let settings = Arc::clone(&self.settings);
        let told = Arc::clone(&state.told);
        let begun = blocking(move || {
            let before = &from.files;
            if let Some(written) = outdated(&inputs, &settings)? {
                return Err(too_old(&inputs.deals.name, written));
            }
            let mark = |input: &Arc<Input>, before: &Option<FileMark>| -> Result<FileMark, CrmError> {
                let stamp = input.stamp()?;
                let digest = match before {
                    Some(before) if before.stamp == stamp && stamp.settled => before.digest.clone(),
                    _ => input.digest()?,
                };
                let (rows, columns) = before.as_ref().map(|b| (b.rows, b.columns.clone())).unwrap_or_default();
                Ok(FileMark { stamp, digest, rows, columns })
            };
            let marks = Marks {
                settings: meaning,
                deals: Some(mark(&inputs.deals, &before.deals)?),
                contacts: inputs.contacts.as_ref().map(|i| mark(i, &before.contacts)).transpose()?,
                managers: inputs.managers.as_ref().map(|i| mark(i, &before.managers)).transpose()?,
            };
            if marks.content() == before.content() {
                return Ok(Begun::Unchanged(Box::new(marks)));
            }
            // An emptied file has no header either; that is suspicious before it is a wrong setting.
            let had = before.deals.as_ref().map_or(0, |d| d.rows);
            if had > 0 && marks.deals.as_ref().is_some_and(|d| d.stamp.size == 0) {
                return Err(emptied(&inputs.deals.name, "deals", had));
            }
            Ok(Begun::Look(Box::new(Look::begin(settings, inputs, marks, &from, told, now)?)))
        })
        .await?;
        if let Begun::Look(look) = &begun {
            self.believe(look, position, state)?;
        }
        Ok(begun)
    }

    /// Refuses files that lost too much to be true.
    fn believe(&self, look: &Look, position: &Position, state: &mut State) -> Result<(), CrmError> {
        let (now, before) = (&look.marks, &position.files);
        let files = [
            ("deals", Some(&self.inputs.deals), &now.deals, &before.deals),
            ("contacts", self.inputs.contacts.as_ref(), &now.contacts, &before.contacts),
            ("managers", self.inputs.managers.as_ref(), &now.managers, &before.managers),
        ];
        let mut doubt = None;
        for (what, input, mark, before) in files {
            let (Some(input), Some(mark)) = (input, mark) else { continue };
            let had = before.as_ref().map_or(0, |before| before.rows);
            if mark.rows == 0 && had > 0 {
                return Err(emptied(&input.name, what, had));
            }
            if had < MANY || mark.rows * 2 >= had {
                state.suspicion.remove(what);
                continue;
            }
            let times = seen_again(&mut state.suspicion, what, &mark.digest);
            if times < SIGHTINGS {
                doubt.get_or_insert(CrmError::Suspicious {
                    what: format!("{} has {} {what} where it had {had}", input.name, mark.rows),
                    help: format!(
                        "what is known is kept; if this is right, leave the file as it is: it is believed after {} more looks",
                        SIGHTINGS - times
                    ),
                });
            }
        }
        if look.gone.is_empty() {
            state.suspicion.remove(COLUMNS);
        } else {
            let columns: Vec<String> = look.gone.iter().map(|gone| format!("{}: {}", gone.file, gone.column)).collect();
            let times = seen_again(&mut state.suspicion, COLUMNS, &columns.join("\n"));
            let declared = look.gone.iter().any(|gone| gone.declared);
            if declared || times < SIGHTINGS {
                return Err(columns_gone(&look.gone, (!declared).then(|| SIGHTINGS - times)));
            }
        }
        if let Some(doubt) = doubt {
            return Err(doubt);
        }
        state.suspicion.clear();
        Ok(())
    }
}

const COLUMNS: &str = "columns";

/// How often the same was seen now.
fn seen_again(seen: &mut BTreeMap<&'static str, (String, u32)>, what: &'static str, as_what: &str) -> u32 {
    let times = seen.get(what).filter(|(before, _)| before == as_what).map_or(1, |(_, times)| times + 1);
    seen.insert(what, (as_what.to_owned(), times));
    times
}

enum Begun {
    Unchanged(Box<Marks>),
    Look(Box<Look>),
}

impl Marks {
    /// What decides whether there is anything to read: the mapping and the digests.
    fn content(&self) -> (&str, [Option<&str>; 3]) {
        fn digest(mark: Option<&FileMark>) -> Option<&str> {
            mark.map(|m| m.digest.as_str())
        }
        (&self.settings, [digest(self.deals.as_ref()), digest(self.contacts.as_ref()), digest(self.managers.as_ref())])
    }
}

#[async_trait::async_trait]
impl Connector for FileConnector {
    async fn changed(&self, cursor: &Cursor) -> Result<bool, CrmError> {
        let position = position_of(cursor);
        let inputs = self.inputs.clone();
        if position.look.is_some() || position.files.settings != self.meaning {
            return Ok(true);
        }
        let settings = Arc::clone(&self.settings);
        blocking(move || {
            // Whoever reads is told why not.
            if outdated(&inputs, &settings)?.is_some() {
                return Ok(true);
            }
            let differs = |input: &Arc<Input>, mark: &Option<FileMark>| -> Result<bool, CrmError> {
                let stamp: Stamp = input.stamp()?;
                Ok(mark.as_ref().is_none_or(|m| !m.stamp.settled || !m.stamp.same(&stamp)))
            };
            if differs(&inputs.deals, &position.files.deals)? {
                return Ok(true);
            }
            for (input, mark) in [(&inputs.contacts, &position.files.contacts), (&inputs.managers, &position.files.managers)] {
                match input {
                    Some(input) if differs(input, mark)? => return Ok(true),
                    None if mark.is_some() => return Ok(true),
                    _ => {}
                }
            }
            Ok(false)
        })
        .await
    }

    async fn read(&self, cursor: &Cursor, limit: usize, now: Timestamp) -> Result<ReadPage, CrmError> {
        let mut state = self.state.lock().await;
        let mut position = position_of(cursor);
        let (progress, mut look) = match state.under_way.take() {
            Some((progress, look)) if cursor.looking && position.look == Some(progress) => (progress, look),
            _ => {
                position.forget_look();
                match self.begin(&position, &mut state, now).await? {
                    Begun::Look(look) => {
                        state.looks += 1;
                        // From its first page on, what was told before is no longer what the caller stored last.
                        state.told = Arc::default();
                        (Progress { look: state.looks, pages: 0 }, *look)
                    }
                    Begun::Unchanged(files) => {
                        let position = Position { files: *files, look: None, own: position.own };
                        let cursor = Cursor { position: json(&position), read_at: Some(now), error: None, ..cursor.clone() };
                        return Ok(ReadPage { findings: cursor.findings.clone(), cursor, ..ReadPage::default() });
                    }
                }
            }
        };
        let (mut look, step) = blocking(move || {
            let step = look.step(limit)?;
            Ok((look, step))
        })
        .await?;
        let mut page = step.page;
        if step.done {
            let pipelines = look.pipelines();
            let seen = look.seen();
            let complete = cursor.complete || seen.is_some();
            let own = position.own || seen.is_some();
            let files = if let Some((files, told)) = seen {
                state.told = Arc::new(told);
                files
            } else {
                // A file that was written meanwhile is looked at again, even if it should be as it was before: some rows were told.
                Marks { settings: String::new(), ..position.files }
            };
            page.cursor = Cursor {
                looking: false,
                rows: files.deals.as_ref().map_or(cursor.rows, |d| d.rows),
                complete,
                position: json(&Position { files, look: None, own }),
                read_at: Some(now),
                findings: page.findings.clone(),
                pipelines,
                error: None,
                ..cursor.clone()
            };
        } else {
            let progress = Progress { pages: progress.pages + 1, ..progress };
            let position = json(&Position { files: position.files, look: Some(progress), own: position.own });
            page.cursor = Cursor { position, looking: true, ..cursor.clone() };
            page.more = true;
            state.under_way = Some((progress, look));
        }
        Ok(page)
    }

    async fn write(&self, jobs: &[WriteBack]) -> Vec<Outcome> {
        self.out.write(jobs).await
    }
}

fn emptied(name: &str, what: &str, had: u64) -> CrmError {
    CrmError::Suspicious {
        what: format!("{name} has no {what} where it had {had}"),
        help: "what is known is kept and nothing counts as deleted; export the file again".into(),
    }
}

/// Columns are named as the manifest names them. `more`: so many looks more, and it is believed.
fn columns_gone(gone: &[Gone], more: Option<u32>) -> CrmError {
    let columns: Vec<String> = gone.iter().take(5).map(|gone| format!("`{}` of {}", gone.column, gone.file)).collect();
    let others = if gone.len() > columns.len() { " and others" } else { "" };
    let mut help = "what is known is kept; export it again, or write its new name into the connection".to_owned();
    help.push_str(&more.map_or_else(
        || ", or take it out of `columns` and `fields` there".to_owned(),
        |more| format!("; if this is right, leave it so: it is believed after {more} more looks"),
    ));
    CrmError::Suspicious { what: format!("a column that was there is gone: {}{others}", columns.join(", ")), help }
}

/// When the deals were written, if that is too long ago to be the CRM's state.
fn outdated(inputs: &Inputs, settings: &Settings) -> Result<Option<SystemTime>, CrmError> {
    settings.max_age.map_or(Ok(None), |max| inputs.deals.outdated(max))
}

fn too_old(name: &str, written: SystemTime) -> CrmError {
    let at = Timestamp::try_from(written).map_or_else(|_| "long ago".to_owned(), |at| format!("at {at:.0}"));
    CrmError::Suspicious {
        what: format!("{name} was written {at}, which is longer ago than maxAge"),
        help: "what is known is kept, and grows older; see why nothing exports it any more".into(),
    }
}

/// A position written by another version or another connector counts as none: the files are read anew.
fn position_of(cursor: &Cursor) -> Position {
    let mut position: Position = serde_json::from_value(cursor.position.clone()).unwrap_or_default();
    // Nothing was read yet: there is nothing that a version before could have told.
    position.own |= cursor.position.is_null();
    if !cursor.looking {
        position.forget_look();
        if !cursor.meeting.is_empty() {
            // Somebody has not met these deals: everything is read, whatever the files say.
            position.files.settings.clear();
        }
    }
    position
}

fn json(position: &Position) -> serde_json::Value {
    serde_json::to_value(position).unwrap_or_default()
}

/// Digest of everything but the files themselves and where write-backs go.
fn meaning(connection: &ConnectionWiring, wiring: &FileWiring) -> String {
    let FileWiring {
        deals: _,
        contacts: _,
        managers: _,
        deal_columns,
        contact_columns,
        manager_columns,
        won_stages,
        lost_stages,
        open_stages,
        encoding,
        delimiter,
        time_zone,
        pipeline,
        journal: _,
        webhook: _,
        max_age: _,
    } = wiring;
    // The number is that of our own reading: with another one the same rows mean something else.
    // `Debug` of plain text and numbers: no secret is among them, and only equality matters.
    let parts = format!(
        "2 {:?} {:?} {deal_columns:?} {contact_columns:?} {manager_columns:?} {won_stages:?} {lost_stages:?} {open_stages:?} \
         {encoding:?} {delimiter:?} {time_zone:?} {pipeline:?}",
        connection.region, connection.fields
    );
    digest_of(parts.as_bytes())
}

/// File work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, CrmError> + Send + 'static) -> Result<T, CrmError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => {
            Err(CrmError::Unavailable { what: "reading the files was interrupted".into(), source: Some(Box::new(error)) })
        }
    }
}
