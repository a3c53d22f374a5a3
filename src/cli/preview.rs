//! `rekindle preview`: one item for one client, exactly as it would leave.

use super::{
    folder::Reader,
    output::{self, OutputFormat, words},
    process::{EXAMPLE_URL, Maybe, public_url},
    status::choose,
};
use crate::{
    api::Field,
    channels::{self, Job},
    compile::{self, Compiled, FunnelSnapshot, Wiring},
    content::{self, Context, Encoding, Preview, Rendered, RenderedItem, Sender, Tracking},
    engine::{Item, Plan, Subject, variant_for, zone_of},
    links::{Keys, system_random},
    model::{Address, CopyId, EffectRef, Email, FunnelKey, Medium, Outcome, Phone},
    store::{Load, Store},
};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// Shows one item for one client: text, SMS parts, links and headers, exactly as it would leave. Sends nothing, unless `--to` says
/// where.
#[derive(Args, Debug)]
pub struct PreviewArgs {
    /// Which item: LIST/ITEM, like lost-layout/new-layouts.
    #[arg(long, value_name = "LIST/ITEM")]
    item: String,
    /// For this deal's client (its id in the CRM). Without it: made-up values of the greatest plausible length.
    #[arg(long)]
    deal: Option<String>,
    /// Take the texts from this folder of manifests instead of what is in force: a look at an edit before it is published.
    #[arg(short, long = "folder", value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Needed when there are several funnels: `name` or `namespace/name`.
    #[arg(long)]
    funnel: Option<String>,
    /// Which variant, if the item has any. Default: the one that the deal's client gets; without --deal the first that is sent.
    #[arg(long)]
    variant: Option<String>,
    /// Language tag like `en`, instead of the client's own.
    #[arg(long)]
    language: Option<String>,
    /// Address of the installation, for links of the right length.
    #[arg(long, env = "REKINDLE_PUBLIC_URL", default_value = EXAMPLE_URL, value_name = "URL", value_parser = public_url)]
    public_url: Maybe<String>,
    /// Show the email in a browser.
    #[arg(long)]
    open: bool,
    /// Send it to this own phone or mailbox, through the real channel (needs --folder, whose secrets it uses).
    #[arg(long, value_name = "ADDRESS", requires = "folder")]
    to: Option<String>,
    /// The store of the running process: where the deal and the texts in force are.
    #[arg(long, env = "REKINDLE_STORE", default_value = "sqlite:rekindle.db", hide_env_values = true)]
    store: String,
    #[arg(short, long, value_enum, default_value_t)]
    output: OutputFormat,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    item: &'a str,
    variant: Option<&'a str>,
    #[serde(flatten)]
    preview: &'a Preview,
    links: &'a [String],
}

/// Where texts come from, with the secrets to send them if a folder gave any.
struct Texts {
    compiled: Compiled,
    /// Declared by the connection: made-up values have their types.
    fields: Vec<Field>,
    wiring: Wiring,
}

/// Shows the item.
///
/// # Errors
/// A sentence.
pub async fn run(args: PreviewArgs) -> Result<ExitCode, String> {
    let store = match (&args.deal, &args.folder) {
        (None, Some(_)) => None,
        _ => Some(Store::open_beside(&args.store).await.map_err(|e| e.to_string())?),
    };
    let texts = match &args.folder {
        Some(folder) => from_folder(folder, args.funnel.as_deref())?,
        None => from_store(store.as_ref(), args.funnel.as_deref()).await?,
    };
    let plan = &texts.compiled.plan;
    let (list, name) = args.item.split_once('/').ok_or("write --item as LIST/ITEM, like lost-layout/new-layouts")?;
    let key = (list.to_owned(), name.to_owned());
    let known = || texts.compiled.texts.items.keys().map(|(l, i)| format!("{l}/{i}")).collect::<Vec<_>>().join(", ");
    let item =
        texts.compiled.texts.items.get(&key).ok_or_else(|| format!("there is no item {}; there are {}", args.item, known()))?;
    let meaning = plan.item(list, name).ok_or_else(|| format!("the funnel does not use {}", args.item))?;
    let subject = if let (Some(deal), Some(store)) = (&args.deal, &store) {
        Some(subject(store, &plan.funnel, &plan.connection, deal).await?)
    } else {
        None
    };
    let variant = variant(&args, plan, list, meaning, subject.as_ref())?;
    let variant = variant.as_deref();
    let context = if let Some(s) = &subject {
        let language = args.language.as_deref().or_else(|| s.contact.as_ref()?.language.as_deref());
        Context::new(&s.deal, s.contact.as_ref(), s.manager.as_ref(), &plan.policy.brand_title, language, &zone_of(plan, s))
    } else {
        compile::longest_client(item, variant, args.language.as_deref(), &plan.policy.brand_title, &texts.fields)
    };
    let to = address(args.to.as_deref(), meaning.medium)?;
    let effect = EffectRef { copy: CopyId(0), seq: 0 };
    let uuid = uuid::Uuid::now_v7();
    let domain = match &item.sender {
        Sender::Email(sender) => sender.from_address.rsplit_once('@').map_or("preview.invalid", |(_, d)| d),
        Sender::Sms(_) => "preview.invalid",
    };
    let tracking = Tracking {
        base_url: Some(args.public_url.as_deref().unwrap_or(EXAMPLE_URL)),
        // Links of a preview must not work: they are signed with a key that no installation has.
        keys: &Keys::derive(&[0; 32]),
        effect,
        random: &system_random,
        to: &to,
        as_manager: subject.as_ref().is_some_and(|s| meaning.send_as.is_manager(&s.deal, s.manager.as_ref())),
        message_id_domain: domain,
        key: uuid,
        now: Timestamp::now(),
    };
    let language = args.language.as_deref().or_else(|| subject.as_ref()?.contact.as_ref()?.language.as_deref());
    let rendered = content::render_item(item, variant, language, &context, &tracking)
        .map_err(|e| format!("{} cannot be rendered for this client: {e}", args.item))?;
    match args.output {
        OutputFormat::Json => {
            output::json(&Shown { item: &args.item, variant, preview: &rendered.preview, links: &rendered.links });
        }
        OutputFormat::Table => show(&rendered, variant.map(|variant| (variant, meaning)))?,
    }
    if args.open {
        open(&rendered)?;
    }
    if args.to.is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    let channel = plan.channel_for(meaning).ok_or("the funnel has no channel for this item")?;
    let key = format!("{}/{}", plan.funnel.namespace, channel.resource);
    let wiring = texts.wiring.channels.get(&key).ok_or_else(|| format!("the folder declares no channel {key}"))?;
    let channel = channels::open(wiring).map_err(|e| e.to_string())?;
    let job = Job { effect, attempt: 1, key: uuid, to, message: rendered.message, receipt_url: None };
    let (sender, mut reports) = tokio::sync::mpsc::unbounded_channel();
    channel.perform(vec![job], tokio::time::Instant::now() + Duration::from_mins(1), sender).await;
    match reports.recv().await.map(|report| report.outcome) {
        Some(Outcome::Accepted { provider, .. }) => {
            eprintln!("accepted by {provider}");
            Ok(ExitCode::SUCCESS)
        }
        Some(
            Outcome::Retry { reason, .. }
            | Outcome::Rejected { reason, .. }
            | Outcome::ChannelDown { reason, .. }
            | Outcome::Unknown { reason },
        ) => Err(format!("not sent: {reason}")),
        _ => Err("not sent".into()),
    }
}

fn from_folder(folder: &std::path::Path, funnel: Option<&str>) -> Result<Texts, String> {
    let reading = Reader::new(folder).read().map_err(|e| e.to_string())?;
    let output = compile::compile(reading.snapshot());
    let names: Vec<FunnelKey> = output.funnels.keys().cloned().collect();
    if names.is_empty() {
        let problems: Vec<String> = reading.problems(output.findings).iter().map(ToString::to_string).collect();
        return Err(format!("{} has no valid funnel\n{}", folder.display(), problems.join("\n")));
    }
    let funnel = choose(&names, funnel)?;
    let snapshot = output.funnels.get(&funnel).ok_or("no such funnel")?;
    Ok(Texts { compiled: compiled(snapshot)?, fields: snapshot.connection.fields.clone(), wiring: output.wiring })
}

async fn from_store(store: Option<&Store>, funnel: Option<&str>) -> Result<Texts, String> {
    let store = store.ok_or("write --folder, or --store")?;
    let revisions = store.journal.revisions().await.map_err(|e| e.to_string())?;
    let names: Vec<FunnelKey> = revisions.iter().filter(|r| !r.deleted).map(|r| r.funnel.clone()).collect();
    let funnel = choose(&names, funnel)?;
    let revision = revisions.into_iter().find(|r| r.funnel == funnel).ok_or("no such funnel")?;
    let snapshot: FunnelSnapshot = serde_json::from_value(revision.snapshot).map_err(|e| format!("the stored revision: {e}"))?;
    Ok(Texts { compiled: compiled(&snapshot)?, fields: snapshot.connection.fields, wiring: Wiring::default() })
}

fn compiled(snapshot: &FunnelSnapshot) -> Result<Compiled, String> {
    compile::compile_funnel(snapshot, 0, Timestamp::now())
        .map_err(|findings| findings.iter().map(|f| format!("{}: {}", f.path, f.message)).collect::<Vec<_>>().join("; "))
}

async fn subject(store: &Store, funnel: &FunnelKey, connection: &str, deal: &str) -> Result<Subject, String> {
    let load = Load::Deals { connection: format!("{}/{connection}", funnel.namespace), ids: vec![deal.to_owned()] };
    let subjects = store.journal.load(&load, Timestamp::now()).await.map_err(|e| e.to_string())?;
    subjects
        .into_iter()
        .find(|s| s.copy.funnel == *funnel)
        .ok_or_else(|| format!("{funnel} has no deal {deal}; write the id as the CRM has it"))
}

fn address(to: Option<&str>, medium: Medium) -> Result<Address, String> {
    match medium {
        Medium::Sms => Phone::parse(to.unwrap_or("+79990000000"), "RU").map(Address::Phone).map_err(|e| e.to_string()),
        Medium::Email => Email::parse(to.unwrap_or("you@example.com")).map(Address::Email).map_err(|e| e.to_string()),
    }
}

/// The variant that is asked for, or that the client gets, or the first that anybody gets.
fn variant(args: &PreviewArgs, plan: &Plan, list: &str, item: &Item, subject: Option<&Subject>) -> Result<Option<String>, String> {
    let Some(asked) = &args.variant else {
        let first = || item.variants.iter().find(|variant| variant.weight > 0).map(|variant| variant.name.clone());
        return Ok(subject.map_or_else(first, |subject| variant_for(plan, subject, list, item)));
    };
    if item.variants.iter().any(|variant| variant.name == *asked) {
        return Ok(Some(asked.clone()));
    }
    Err(match variants(item) {
        none if none.is_empty() => format!("{} has no variants; leave --variant out", args.item),
        there => format!("{} has no variant {asked}; there are {there}", args.item),
    })
}

fn variants(item: &Item) -> String {
    item.variants.iter().map(|variant| variant.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// `variant`: the one that is shown, of those that the item has.
fn show(rendered: &RenderedItem, variant: Option<(&str, &Item)>) -> Result<(), String> {
    let preview = &rendered.preview;
    let mut rows = vec![vec!["From".to_owned(), preview.from.clone()]];
    rows.extend(variant.map(|(name, item)| vec!["Variant".to_owned(), format!("{name} (of {})", variants(item))]));
    rows.extend(preview.subject.iter().map(|s| vec!["Subject".to_owned(), s.clone()]));
    if let Rendered::Email(email) = &rendered.message {
        let shown = ["Reply-To", "List-Unsubscribe", "List-Unsubscribe-Post"];
        rows.extend(email.headers().into_iter().filter(|(name, _)| shown.contains(&name.as_str())).map(|(n, v)| vec![n, v]));
    }
    if let Some(sms) = &preview.segments {
        let alphabet = match sms.encoding {
            Encoding::Gsm7 => "GSM-7",
            Encoding::Ucs2 => "UCS-2",
        };
        let parts = if sms.parts == 1 { "1 part".to_owned() } else { format!("{} parts", sms.parts) };
        rows.push(vec!["SMS".to_owned(), format!("{parts}, {alphabet}, {} more characters fit", sms.left)]);
    }
    rows.extend(rendered.links.iter().filter(|l| !l.is_empty()).map(|l| vec!["Link to".to_owned(), l.clone()]));
    output::print(&format!("{}\n{}\n", words(&rows), preview.text))
}

fn open(rendered: &RenderedItem) -> Result<(), String> {
    let html = rendered.preview.html.as_ref().ok_or("only emails are opened in a browser")?;
    let path = std::env::temp_dir().join(format!("rekindle-preview-{}.html", uuid::Uuid::now_v7().simple()));
    std::fs::write(&path, html).map_err(|e| format!("{}: {e}", path.display()))?;
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    match std::process::Command::new(opener).arg(&path).status() {
        Ok(status) if status.success() => Ok(()),
        _ => output::print(&format!("\nopen {} in a browser\n", path.display())),
    }
}
