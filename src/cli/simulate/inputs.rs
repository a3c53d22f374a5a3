//! What both commands read: folders, deals, the days, the behaviour.

use crate::{
    cli::{
        folder::Reader,
        process::{EXAMPLE_URL, Maybe, public_url},
    },
    compile::{self, ConnectionKind, ConnectionWiring, FileSource, Severity, Wiring},
    engine::Plan,
    model::{FunnelKey, Mode},
    simulate::{Behaviour, Given, Outcome, Question, Run, World, sources},
    store::Store,
    workers::{Live, channel_key, connection_key},
};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp, Zoned, civil, tz::TimeZone};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
};

#[derive(Args, Debug)]
pub struct Inputs {
    /// Read deals from this file instead of the one that the connection names (same columns).
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    deals: Option<PathBuf>,
    /// Begin with the copies, ledger and prohibitions of a running installation: `sqlite:PATH` or `postgres://…`. Only read.
    #[arg(long, value_name = "URL", hide_env_values = true)]
    store: Option<String>,
    /// First day (like 2026-03-02, midnight in the policy's zone) or moment (2026-03-02T09:00:00+03:00, or with a zone:
    /// 2026-03-02T09:00[Asia/Tokyo]). Default: now.
    #[arg(long, value_name = "T")]
    from: Option<String>,
    /// How many days.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=1830))]
    days: u16,
    /// For the behaviour: the same seed gives the same result.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// YAML with the shares of messages that are clicked, answered, unsubscribed from: `sms: {click: 6%, answer: 1%, unsubscribe: 0.3%}`,
    /// also under `all`, `email` and `items` (by list/item). Without it nobody reacts.
    #[arg(long, value_name = "FILE")]
    behaviour: Option<PathBuf>,
    /// Address of the installation, for links of the right length.
    #[arg(long, env = "REKINDLE_PUBLIC_URL", default_value = EXAMPLE_URL, value_name = "URL", value_parser = public_url)]
    public_url: Maybe<String>,
    /// Keep `mode: Observe` as it is: nothing goes out of such a funnel. `diff` keeps the modes of a funnel that differ in any case.
    #[arg(long)]
    as_is: bool,
}

/// A folder whose funnels are all right.
pub struct Folder {
    root: PathBuf,
    output: compile::Output,
}

/// Whose `mode` stays as it is: all, or those whose mode the edit is about. Others are simulated as if they were live.
struct Kept {
    all: bool,
    edited: BTreeMap<FunnelKey, (Mode, Mode)>,
}

impl Kept {
    fn of(folders: &[&Folder], all: bool) -> Self {
        let mut edited = BTreeMap::new();
        if let [old, new] = folders {
            for (key, snapshot) in &old.output.funnels {
                let is = new.output.funnels.get(key).map(|snapshot| snapshot.spec.mode);
                if let Some(is) = is.filter(|is| *is != snapshot.spec.mode) {
                    edited.insert(key.clone(), (snapshot.spec.mode, is));
                }
            }
        }
        Self { all, edited }
    }

    fn has(&self, funnel: &FunnelKey) -> bool {
        self.all || self.edited.contains_key(funnel)
    }

    fn notes(&self) -> impl Iterator<Item = String> {
        self.edited.iter().map(|(funnel, (was, is))| {
            format!("{funnel}: the mode goes from {was:?} to {is:?}, and each side is simulated as it is")
        })
    }
}

/// What came of one folder.
pub struct Lived {
    pub world: Arc<World>,
    pub outcome: Outcome,
}

impl Folder {
    /// # Errors
    /// The same problems that `validate` tells.
    pub fn read(path: &Path, what: &str) -> Result<Self, String> {
        let reading = Reader::new(path).read().map_err(|e| format!("{e}; write -f with a folder of manifests"))?;
        let mut output = compile::compile(reading.snapshot());
        let problems = reading.problems(std::mem::take(&mut output.findings));
        let errors: Vec<String> = problems.iter().filter(|p| p.severity == Severity::Error).map(ToString::to_string).collect();
        if !errors.is_empty() {
            return Err(format!("{} has errors, so there is nothing to {what}\n{}", path.display(), errors.join("\n")));
        }
        if output.funnels.is_empty() {
            return Err(format!("there is no ReactivationFunnel in {}; write -f with a folder that has one", path.display()));
        }
        Ok(Self { root: path.to_owned(), output })
    }

    /// Plans as they would be in force, live but for those whose mode is kept.
    fn plans(&self, since: &dyn Fn(&FunnelKey) -> Timestamp, kept: &Kept) -> Result<Vec<Given>, String> {
        let mut all = Vec::new();
        for (key, snapshot) in &self.output.funnels {
            let compiled = compile::compile_funnel(snapshot, 1, since(key))
                .map_err(|findings| findings.iter().map(|f| f.message.clone()).collect::<Vec<_>>().join("; "))?;
            let mut live = Live::from(compiled);
            // Going live is an edit, though no manifest says it: who was only observed begins again.
            let replan = live.plan.mode == Mode::Observe && !kept.has(key);
            if replan {
                live.plan = Arc::new(Plan { mode: Mode::Live, ..(*live.plan).clone() });
            }
            all.push(Given { live, replan, before: None });
        }
        Ok(all)
    }

    /// Channels of a funnel that do not write to clients yet.
    fn try_outs(&self, plan: &Plan) -> Vec<String> {
        let keys = plan.channels.iter().map(|channel| channel_key(plan, &channel.resource));
        keys.filter(|key| self.output.wiring.channels.get(key).is_some_and(|settings| !settings.test_recipients.is_empty()))
            .map(|key| {
                format!(
                    "{} is live, but {key} sends to its testRecipients only: all clients' messages and their cost are told here,                      and what is due to others than those fails for good",
                    plan.funnel
                )
            })
            .collect()
    }

    /// Funnels of which nothing goes out, or to others than clients, or that are simulated otherwise than they stand there.
    fn states(&self, kept: &Kept) -> Vec<String> {
        let as_written = Kept { all: true, edited: BTreeMap::new() };
        let plans = self.plans(&|_| Timestamp::UNIX_EPOCH, &as_written).unwrap_or_default();
        let mut notes = Vec::new();
        for plan in plans.into_iter().map(|given| given.live.plan) {
            // While it observes, that is how it is meant to be; the simulation asks what comes of it when it is live.
            if plan.mode == Mode::Live {
                notes.extend(self.try_outs(&plan));
            }
            if plan.mode == Mode::Observe {
                notes.push(if kept.has(&plan.funnel) {
                    format!("{} observes: nothing goes out", plan.funnel)
                } else {
                    format!("{} observes; it is simulated as if it were live", plan.funnel)
                });
            }
            if plan.suspend || plan.policy.paused {
                notes.push(format!("{} or its policy is stopped: nothing goes out until it is released", plan.funnel));
            }
        }
        notes
    }

    /// A connection as this folder means it. What stands at the same place in the other folder is read from there: it is one CRM,
    /// and an edited copy of the manifests need not bring the deals along.
    fn connection(&self, key: &str, other: Option<&Self>) -> Option<ConnectionWiring> {
        let mut settings = self.output.wiring.connections.get(key)?.clone();
        let ConnectionKind::File(mine) = &mut settings.kind;
        // Nothing is written.
        mine.journal = None;
        if let Some((other, there)) = other.and_then(|other| Some((other, other.output.wiring.connections.get(key)?))) {
            let ConnectionKind::File(theirs) = &there.kind;
            let inside = |source: &FileSource, root: &Path| match source {
                FileSource::Path(path) => path.strip_prefix(root).ok().map(Path::to_owned),
                FileSource::Inline { .. } => None,
            };
            let pairs = [
                (Some(&mut mine.deals), Some(&theirs.deals)),
                (mine.contacts.as_mut(), theirs.contacts.as_ref()),
                (mine.managers.as_mut(), theirs.managers.as_ref()),
            ];
            for (mine, theirs) in pairs.into_iter().filter_map(|(mine, theirs)| mine.zip(theirs)) {
                let place = inside(mine, &self.root);
                if place.is_some() && place == inside(theirs, &other.root) {
                    mine.clone_from(theirs);
                }
            }
        }
        Some(settings)
    }
}

/// Connections as each folder means them; one that only the other folder has is read as well, so that people are numbered alike.
fn wirings(folders: &[&Folder], names: &BTreeSet<String>) -> Vec<Wiring> {
    let of = |folder: &Folder| {
        let find = |name: &String| {
            let first = folders.first().copied().filter(|first| !std::ptr::eq(*first, folder));
            folder.connection(name, first).or_else(|| folders.iter().find_map(|other| other.connection(name, None)))
        };
        let connections = names.iter().filter_map(|name| Some((name.clone(), find(name)?))).collect();
        Wiring { connections, ..Wiring::default() }
    };
    folders.iter().map(|folder| of(folder)).collect()
}

impl Inputs {
    /// Reads the deals and lives each folder through.
    ///
    /// # Errors
    /// A sentence.
    pub async fn live(&self, folders: &[&Folder], bar: &ProgressBar) -> Result<(Vec<Lived>, Vec<String>), String> {
        let behaviour = self.behaviour()?;
        let kept = Kept::of(folders, self.as_is);
        let mut plans = Vec::new();
        for folder in folders {
            // They are numbered in 16 bits, in each of millions of messages.
            let most = folder.output.funnels.len().max(folder.output.wiring.channels.len());
            if most >= usize::from(u16::MAX) {
                return Err(format!("{most} funnels or channels are too many to simulate at once; split the folder"));
            }
            plans.extend(folder.plans(&|_| Timestamp::UNIX_EPOCH, &kept)?);
        }
        let zone = plans.first().map_or(TimeZone::UTC, |given| given.live.plan.policy.time_zone.clone());
        let from = moment(self.from.as_deref(), &zone)?;
        let until = from.to_zoned(zone).checked_add(jiff::Span::new().days(i64::from(self.days)));
        let until =
            until.map_err(|_| format!("{} days after {from} the calendar has ended; write an earlier --from", self.days))?;
        let until = until.timestamp();
        let plans: Vec<Arc<Plan>> = plans.into_iter().map(|given| given.live.plan).collect();
        let worlds = self.worlds(folders, &plans, from, bar).await?;
        let mut all = Vec::new();
        for (folder, world) in folders.iter().zip(worlds) {
            let since = |key: &FunnelKey| world.published(key).unwrap_or(from);
            let lives = folder.plans(&since, &kept)?;
            let lives = lives
                .into_iter()
                .map(|Given { live, replan: flipped, .. }| {
                    let stored = world.in_force(&live.plan.funnel);
                    let snapshot = folder.output.funnels.get(&live.plan.funnel);
                    let json = snapshot.and_then(|s| serde_json::to_value(s).ok());
                    let replan = stored.is_some_and(|stored| flipped || Some(stored) != json.as_ref());
                    let before = stored.filter(|_| replan).and_then(|_| world.plan_in_force(&live.plan.funnel)).cloned();
                    Given { live, replan, before }
                })
                .collect();
            let base_url = self.public_url.clone().unwrap_or_else(|| EXAMPLE_URL.into());
            let question = Question { from, until, seed: self.seed, behaviour: behaviour.clone(), base_url };
            let wiring = &folder.output.wiring;
            let run = match all.first() {
                Some(Lived { outcome, .. }) => Run::edited(&world, lives, wiring, question, &outcome.run),
                None => Run::new(&world, lives, wiring, question),
            };
            if let Some(behaviour) = &behaviour {
                let unknown = run.unknown_items(behaviour);
                if !unknown.is_empty() {
                    return Err(format!("the behaviour names items that no list has: {}; write list/item", unknown.join(", ")));
                }
            }
            bar.set_position(0);
            let outcome = run.live(&world, &|done, all| {
                bar.set_length(all);
                bar.set_position(done);
                bar.set_message("living through the days");
            });
            all.push(Lived { world, outcome });
        }
        let notes = notes(&all, folders, &kept);
        Ok((all, notes))
    }

    /// The deals of each folder. Where they are read in the same way there is one world for both.
    async fn worlds(
        &self,
        folders: &[&Folder],
        plans: &[Arc<Plan>],
        from: Timestamp,
        bar: &ProgressBar,
    ) -> Result<Vec<Arc<World>>, String> {
        bar.set_message("reading deals");
        let read = |n: u64| bar.set_message(format!("reading deals: {n}"));
        if let Some(url) = &self.store {
            let store = Store::open_beside(url).await.map_err(|e| e.to_string())?;
            let connections = sources(plans.iter().map(AsRef::as_ref));
            let world = World::from_store(&store, &connections, from, &read).await.map_err(|e| e.to_string())?;
            if let Some(read_at) = world.read_at().filter(|at| *at > from + SignedDuration::from_mins(1)) {
                return Err(format!("the store knows what happened until {read_at}; write --from with that moment or a later one"));
            }
            let world = Arc::new(world);
            return Ok(vec![world; folders.len()]);
        }
        let names: BTreeSet<String> = plans.iter().map(|plan| connection_key(plan)).collect();
        let mut worlds: Vec<(Wiring, Arc<World>)> = Vec::new();
        for wiring in wirings(folders, &names) {
            let world = if let Some((_, world)) = worlds.iter().find(|(other, _)| *other == wiring) {
                world.clone()
            } else {
                let world = World::from_files(&wiring, &names, self.deals.as_deref(), from, &read).await;
                Arc::new(world.map_err(|e| e.to_string())?)
            };
            worlds.push((wiring, world));
        }
        Ok(worlds.into_iter().map(|(_, world)| world).collect())
    }

    fn behaviour(&self) -> Result<Option<Behaviour>, String> {
        let Some(path) = &self.behaviour else { return Ok(None) };
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Behaviour::parse(&text, &path.display().to_string()).map(Some).map_err(|e| e.to_string())
    }
}

/// What to know of the folders and their deals before the figures are read. What only one of two folders is told of says which.
fn notes(all: &[Lived], folders: &[&Folder], kept: &Kept) -> Vec<String> {
    let mut notes = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for lived in all {
        let plans = (0..u16::MAX).map_while(|number| lived.outcome.run.plan(number));
        let said = plans.flat_map(|plan| [lived.world.unknown_of(plan), lived.world.empty_pipeline(plan)]);
        notes.extend(said.flatten().filter(|note| seen.insert(note.clone())));
    }
    notes.extend(kept.notes());
    match folders.iter().map(|folder| folder.states(kept)).collect::<Vec<_>>().as_slice() {
        [before, after] => {
            notes.extend(before.iter().map(|note| if after.contains(note) { note.clone() } else { format!("before: {note}") }));
            notes.extend(after.iter().filter(|note| !before.contains(note)).map(|note| format!("after: {note}")));
        }
        others => notes.extend(others.iter().flatten().cloned()),
    }
    for (connection, findings) in all.iter().flat_map(|lived| lived.world.findings()) {
        for finding in findings {
            // The example is a sentence and says where it is.
            let example = finding.examples.first().map(String::as_str).unwrap_or_default();
            let more = if finding.count > 1 { format!(", the first of {}", finding.count) } else { String::new() };
            let note = format!("{connection}: {example} ({}{more})", finding.kind);
            notes.extend(Some(note).filter(|note| seen.insert(note.clone())));
        }
    }
    notes
}

fn moment(text: Option<&str>, zone: &TimeZone) -> Result<Timestamp, String> {
    let Some(text) = text.filter(|t| *t != "now") else {
        return Ok(Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH));
    };
    let wrong = || format!("{text:?} is not a moment; write a day like 2026-03-02, or 2026-03-02T09:00:00Z");
    // A zone is meant, not to be passed over.
    if text.contains('[') {
        return text.parse::<Zoned>().map(|at| at.timestamp()).map_err(|_| wrong());
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let civil = text
        .parse::<civil::DateTime>()
        .or_else(|_| text.parse::<civil::Date>().map(|d| d.to_datetime(civil::Time::midnight())))
        .map_err(|_| wrong())?;
    zone.to_timestamp(civil).map_err(|_| wrong())
}

pub fn bar(wanted: bool) -> ProgressBar {
    if !wanted || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent}%  {msg}") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::moment;
    use jiff::tz::TimeZone;

    #[test]
    fn a_zone_that_is_written_counts_and_one_that_does_not_exist_is_refused() {
        let moscow = TimeZone::get("Europe/Moscow").unwrap();
        for (text, want) in [
            ("2026-11-27", Some("2026-11-26T21:00:00Z")),
            ("2026-11-27T09:00", Some("2026-11-27T06:00:00Z")),
            ("2026-11-27T09:00:00+02:00", Some("2026-11-27T07:00:00Z")),
            ("2026-11-27T09:00[Asia/Tokyo]", Some("2026-11-27T00:00:00Z")),
            ("2026-11-27T09:00:00+09:00[Asia/Tokyo]", Some("2026-11-27T00:00:00Z")),
            ("2026-11-27T09:00[Europe/Nowhere]", None),
            ("2026-11-27T09:00:00+02:00[Europe/Nowhere]", None),
            ("tomorrow", None),
        ] {
            assert_eq!(moment(Some(text), &moscow).ok().map(|at| at.to_string()).as_deref(), want, "{text}");
        }
    }
}
