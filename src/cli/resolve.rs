//! `rekindle resolve`: a person's word about messages of which nobody could say whether they were accepted.

use super::{
    output::{self, OutputFormat, words},
    status::{self, ago},
    store_args::StoreArgs,
};
use crate::{
    model::{CopyId, EffectRef},
    store::{Ambiguous, Resolution, Store, Unclear},
};
use clap::{ArgGroup, Args};
use jiff::Timestamp;
use std::{collections::BTreeSet, process::ExitCode};

/// How many are listed, or resolved in one transaction.
const MANY: u32 = 10_000;

/// Lists the messages of which nobody can say whether they were accepted (a crash or a lost answer at the wrong moment), and takes
/// your word about them. Ask the provider first: its log, or its support. Receipts and clicks resolve them by themselves. Shows ids
/// only, and works beside a running process.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("verdict").args(["accepted", "dropped", "resend"]))]
pub struct ResolveArgs {
    /// Messages by their ids as listed, like 17.2; without any, and without --all, they are listed.
    ids: Vec<String>,
    /// All of them, also those that a list of ten thousand has no room for.
    #[arg(long, conflicts_with = "ids", requires = "verdict")]
    all: bool,
    /// Only those of one channel: its name, or `namespace/name`.
    #[arg(long)]
    channel: Option<String>,
    /// The provider has them: they count as sent.
    #[arg(long)]
    accepted: bool,
    /// The provider does not have them, and they must not go out any more.
    #[arg(long)]
    dropped: bool,
    /// The provider does not have them: send the same text again, if it was kept and is still valid.
    #[arg(long)]
    resend: bool,
    #[command(flatten)]
    store: StoreArgs,
    #[arg(short, long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// Lists or resolves.
///
/// # Errors
/// A sentence.
pub async fn run(args: ResolveArgs) -> Result<ExitCode, String> {
    let how = match (args.accepted, args.dropped, args.resend) {
        (true, ..) => Some(Resolution::Accepted),
        (_, true, _) => Some(Resolution::Dropped),
        (_, _, true) => Some(Resolution::Resend),
        _ => None,
    };
    let named = args.ids.iter().map(|id| effect(id)).collect::<Result<BTreeSet<EffectRef>, String>>()?;
    let store = args.store.open().await?;
    let which = asked_for(&store, args.channel.as_deref(), named).await?;
    let Some(how) = how else {
        let unclear = store.views.unclear(&which, MANY).await.map_err(|e| e.to_string())?;
        if !which.named.is_empty() && unclear.is_empty() {
            return Err("none of these is unclear".into());
        }
        list(&unclear, args.output)?;
        if unclear.len() >= MANY as usize && which.named.is_empty() {
            eprintln!("the oldest {} of {}", unclear.len(), number(&store, which.channel.as_deref()).await?);
        }
        return Ok(ExitCode::SUCCESS);
    };
    if which.named.is_empty() && !args.all {
        return Err("say which: ids as `rekindle resolve` lists them, or --all".into());
    }
    let told = settle(&store, how, which, MANY).await?;
    for line in &told.lines {
        eprintln!("{line}");
    }
    Ok(if told.all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Which are meant. A channel of which nothing is unclear is no mistake; a name that fits several is one.
async fn asked_for(store: &Store, channel: Option<&str>, named: BTreeSet<EffectRef>) -> Result<Unclear, String> {
    let mut which = Unclear { named: named.into_iter().collect(), ..Unclear::default() };
    if let Some(name) = channel {
        let counts = store.views.channels().await.map_err(|e| e.to_string())?;
        let all: Vec<String> = counts.into_iter().filter(|c| c.ambiguous > 0).map(|c| c.channel).collect();
        let known = all.iter().any(|full| status::is_called(full, name));
        which.channel = Some(if known { status::named("channel", &all, name)? } else { name.to_owned() });
    }
    Ok(which)
}

/// How many are unclear, of that channel or of all.
async fn number(store: &Store, channel: Option<&str>) -> Result<u64, String> {
    let counts = store.views.channels().await.map_err(|e| e.to_string())?;
    Ok(counts.iter().filter(|c| channel.is_none_or(|channel| c.channel == channel)).map(|c| c.ambiguous).sum())
}

/// What came of a person's word.
struct Told {
    lines: Vec<String>,
    /// It was taken for all that were asked for.
    all: bool,
}

/// Takes the word for all that are asked for, `page` by `page`.
async fn settle(store: &Store, how: Resolution, mut which: Unclear, page: u32) -> Result<Told, String> {
    let mut missing: BTreeSet<EffectRef> = which.named.iter().copied().collect();
    let (mut asked, mut done, mut left) = (0, 0, Vec::new());
    loop {
        let unclear = store.views.unclear(&which, page).await.map_err(|e| e.to_string())?;
        let effects: Vec<EffectRef> = unclear.iter().map(|a| a.effect).collect();
        let resolved: BTreeSet<EffectRef> =
            store.journal.resolve(&effects, how, Timestamp::now()).await.map_err(|e| e.to_string())?.into_iter().collect();
        (asked, done) = (asked + unclear.len(), done + resolved.len());
        for a in &unclear {
            missing.remove(&a.effect);
            if !resolved.contains(&a.effect) {
                let why = if how == Resolution::Resend && !a.text_kept {
                    "its text was only in the memory of a process that is gone; use --accepted or --dropped"
                } else {
                    "settled meanwhile"
                };
                left.push(format!("{}: {why}", a.effect));
            }
        }
        which.after = unclear.last().map(|a| (a.since, a.effect));
        if !which.named.is_empty() || unclear.len() < page as usize {
            break;
        }
    }
    let what = match how {
        Resolution::Accepted => "count as sent",
        Resolution::Dropped => "are dropped",
        Resolution::Resend => "are sent again",
    };
    let mut lines = vec![format!("{done} of {} {what}", asked.max(which.named.len()))];
    lines.extend(missing.iter().map(|id| format!("{id}: not unclear, or not of that channel")));
    lines.append(&mut left);
    Ok(Told { all: lines.len() == 1, lines })
}

fn effect(id: &str) -> Result<EffectRef, String> {
    let parsed =
        id.split_once('.').and_then(|(copy, seq)| Some(EffectRef { copy: CopyId(copy.parse().ok()?), seq: seq.parse().ok()? }));
    parsed.ok_or_else(|| format!("{id:?} is not the id of a message; write one as `rekindle resolve` lists it, like 17.2"))
}

fn list(unclear: &[Ambiguous], output: OutputFormat) -> Result<(), String> {
    if let OutputFormat::Json = output {
        output::json(&unclear);
        return Ok(());
    }
    if unclear.is_empty() {
        return output::print("Nothing is unclear.\n");
    }
    let now = Timestamp::now();
    let head = ["ID", "FUNNEL", "DEAL", "ITEM", "CHANNEL", "SINCE", "TEXT", "WHY"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(unclear.iter().map(|a| {
        let text = if a.text_kept { "kept" } else { "gone" };
        vec![
            a.effect.to_string(),
            a.funnel.to_string(),
            a.deal.clone(),
            format!("{}/{}", a.list, a.item),
            a.channel.clone(),
            ago(a.since, now),
            text.to_owned(),
            a.reason.clone(),
        ]
    }));
    output::print(&words(&rows))
}

#[cfg(test)]
mod tests {
    use super::{asked_for, number, settle};
    use crate::engine::{Copy, CopyState, Effect, EffectKind};
    use crate::model::{
        Address, ClientId, CopyId, Deal, EffectKey, EffectRef, EffectStatus, FunnelKey, Medium, Money, Outcome, Phone, Purpose,
        Role, SendAs,
    };
    use crate::store::{Batch, Change, Mark, NewEffect, NextAttempt, Page, Resolution, Store, Unclear};
    use jiff::Timestamp;
    use std::{collections::BTreeSet, time::Duration};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn message(store: &Store, seq: i32, channel: &str) -> NewEffect {
        let address = Address::Phone(Phone::parse("+79990000001", "RU").unwrap());
        let recipient = store.journal.address_hash(&address);
        let kind = EffectKind::Message {
            channel: channel.into(),
            medium: Medium::Sms,
            purpose: Purpose::Advertising,
            address,
            variant: None,
            send_as: SendAs::Brand,
            consent: None,
            expires_at: at(86_400),
        };
        NewEffect {
            effect: Effect { key: EffectKey { cycle: 1, list: "list".into(), item: format!("i{seq}"), recipient }, seq, kind },
            status: EffectStatus::Intended,
            brand: "acme".into(),
            policy: "shop/default".into(),
            revision: 1,
            body_hash: None,
            links: Vec::new(),
            codes: Vec::new(),
            payload: None,
            resend: false,
            charge: None,
            target: channel.into(),
            not_before: None,
            expires_at: None,
        }
    }

    /// Five unclear messages of `shop/sms`, then three of `shop/mail`; the texts of the first three are gone.
    async fn eight_unclear() -> (Store, CopyId) {
        let store = Store::in_memory([7; 32]);
        let lease = store.journal.take("one", Duration::from_mins(1)).await.unwrap().unwrap();
        let copy = Copy {
            id: CopyId(0),
            funnel: FunnelKey { namespace: "shop".into(), name: "sales".into() },
            client: ClientId(0),
            shard: 0,
            ver: 0,
            role: Role::Warming,
            stage: "warm".into(),
            cycle: 1,
            amount: Money(0),
            next_at: None,
            next_seq: 9,
            state: CopyState::default(),
        };
        let effects = (1..=8).map(|seq| message(&store, seq, if seq < 6 { "shop/sms" } else { "shop/mail" })).collect();
        let change =
            Change { copy, connection: "shop/crm".into(), deal: "d".into(), effects, history: Vec::new(), cycle: Vec::new() };
        let deals = vec![(Deal { id: "d".into(), ..Deal::default() }, 1)];
        let page = Page { connection: "shop/crm".into(), deals, ..Page::default() };
        let batch = Batch { now: Some(at(0)), page: Some(page), changes: vec![change], ..Batch::default() };
        let copy = store.journal.commit(&lease, batch).await.unwrap().created[0];
        let marks = (1..=8).map(|seq| Mark {
            effect: EffectRef { copy, seq },
            attempt: 1,
            outcome: Outcome::Unknown { reason: "timeout".into() },
            at: at(1),
            next: (seq > 3).then(|| NextAttempt { at: at(2), payload: "text".into() }),
        });
        store.journal.mark(marks.collect()).await.unwrap();
        (store, copy)
    }

    #[tokio::test]
    async fn what_lies_behind_the_first_page_is_found_and_resolved_as_well() {
        let (store, copy) = eight_unclear().await;
        let of = |seqs: &[i32]| seqs.iter().map(|seq| EffectRef { copy, seq: *seq }).collect::<BTreeSet<_>>();
        let last = asked_for(&store, None, of(&[8])).await.unwrap();
        assert_eq!(store.views.unclear(&last, 2).await.unwrap().len(), 1, "by its id");
        let mail = asked_for(&store, Some("mail"), BTreeSet::new()).await.unwrap();
        assert_eq!(mail.channel.as_deref(), Some("shop/mail"));
        let listed = store.views.unclear(&mail, 2).await.unwrap();
        assert_eq!(listed.iter().map(|a| a.effect.seq).collect::<Vec<_>>(), [6, 7], "by its channel");
        assert_eq!((number(&store, mail.channel.as_deref()).await.unwrap(), number(&store, None).await.unwrap()), (3, 8));

        let told = settle(&store, Resolution::Accepted, last, 2).await.unwrap();
        assert_eq!((told.lines, told.all), (vec!["1 of 1 count as sent".to_owned()], true));
        let both = asked_for(&store, Some("mail"), of(&[1, 6])).await.unwrap();
        let told = settle(&store, Resolution::Dropped, both, 2).await.unwrap();
        let other = format!("{copy}.1: not unclear, or not of that channel");
        assert_eq!((told.lines, told.all), (vec!["1 of 2 are dropped".to_owned(), other], false));

        // More than a page of them cannot be sent again; what lies behind is.
        let told = settle(&store, Resolution::Resend, Unclear::default(), 2).await.unwrap();
        assert_eq!((told.lines[0].as_str(), told.lines.len(), told.all), ("3 of 6 are sent again", 4, false));
        let told = settle(&store, Resolution::Accepted, Unclear::default(), 2).await.unwrap();
        assert_eq!((told.lines[0].as_str(), told.all), ("3 of 3 count as sent", true));
        assert!(store.views.ambiguous(9).await.unwrap().is_empty());
    }
}
