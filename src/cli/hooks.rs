//! `rekindle hooks`: where SMS providers report, keys included. Nobody can compute a key without the store.

use super::{
    output::{self, OutputFormat},
    process::{Maybe, public_url},
    status::named,
    store_args::StoreArgs,
};
use crate::{
    channels::{inbound, kannel::inbound_url},
    compile::Severity,
    links::{HookPath, hook_url},
    source::{self, Admission, Folder, Loaded},
    store::Store,
};
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::Read as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Stands for a provider's name where the store alone is asked, which knows none.
const PROVIDER: &str = "PROVIDER";

/// Prints the addresses to enter at SMS providers, so that STOP and other answers of clients reach Rekindle, and where systems report
/// signals. An address holds its channel's key: whoever has it may report in the provider's name.
#[derive(Args, Debug)]
pub struct HooksArgs {
    /// Folder or file with the `MessageChannels`; `-` is standard input (`kubectl get messagechannels -A -o yaml | rekindle hooks -f -`).
    /// May be repeated. Default: the channels that the funnels in the store name, with PROVIDER for the provider's name.
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    filenames: Vec<PathBuf>,
    /// One channel: `name` or `namespace/name`. Default: all of them.
    #[arg(long)]
    channel: Option<String>,
    /// How the pages are reached from outside, like <https://go.example.com>: the same as of `run` or `operator`.
    #[arg(long, env = "REKINDLE_PUBLIC_URL", value_name = "URL", default_value = "", hide_default_value = true, value_parser = public_url)]
    public_url: Maybe<String>,
    #[command(flatten)]
    store: StoreArgs,
    #[arg(short, long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// A provider of an SMS channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Declared {
    channel: String,
    provider: String,
    /// `None`: the store does not know it.
    kind: Option<String>,
}

/// Where it reports.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Hook {
    channel: String,
    provider: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// Messages from clients.
    inbound: String,
    /// Delivery receipts, for providers that do not get an address with each message.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
}

/// Prints the addresses.
///
/// # Errors
/// A sentence.
pub async fn run(args: HooksArgs) -> Result<ExitCode, String> {
    let Some(base) = args.public_url.as_deref() else {
        return Err("write --public-url: how the pages are reached from outside, like https://go.example.com".into());
    };
    let store = args.store.open().await?;
    let mut declared = if args.filenames.is_empty() { in_force(&store).await? } else { in_manifests(&args.filenames)? };
    if let Some(name) = &args.channel {
        let channels: BTreeSet<String> = declared.iter().map(|d| d.channel.clone()).collect();
        let channel = named("SMS channel", &channels.into_iter().collect::<Vec<_>>(), name)?;
        declared.retain(|d| d.channel == channel);
    }
    let hooks = hooks(declared, base, &store.journal.secret());
    let signals = format!("{base}/v1/signals");
    match args.output {
        OutputFormat::Json => {
            let fields = serde_json::json!({"from": inbound::FROM, "text": inbound::TEXT, "id": inbound::ID});
            output::json(&serde_json::json!({"hooks": hooks, "inboundFields": fields, "signals": signals}));
        }
        OutputFormat::Table => output::print(&text(&hooks, &signals))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn hooks(mut declared: Vec<Declared>, base: &str, secret: &[u8; 32]) -> Vec<Hook> {
    declared.sort();
    let hook = |Declared { channel, provider, kind }: Declared| {
        let url = |path| hook_url(base, secret, &channel, &provider, path);
        let kannel = kind.as_deref() == Some("Kannel");
        let inbound = url(HookPath::Inbound);
        Hook {
            inbound: if kannel { inbound_url(&inbound) } else { inbound },
            // Kannel is told with each message.
            receipt: (!kannel).then(|| url(HookPath::Receipt)),
            channel,
            provider,
            kind,
        }
    };
    declared.into_iter().map(hook).collect()
}

fn text(hooks: &[Hook], signals: &str) -> String {
    let mut out = String::new();
    for Hook { channel, provider, kind, inbound, receipt } in hooks {
        let kannel = kind.as_deref() == Some("Kannel");
        let as_what = if kannel { ", as get-url of its sms-service, percent signs and all" } else { "" };
        let kind = kind.as_ref().map(|kind| format!(" ({kind})")).unwrap_or_default();
        let _ = writeln!(out, "{channel}, provider {provider}{kind}\n  what clients answer{as_what}:\n    {inbound}");
        if let Some(receipt) = receipt {
            let _ = writeln!(out, "  delivery receipts, unless the request gives {{{{ receiptUrl }}}}:\n    {receipt}");
        }
    }
    if hooks.is_empty() {
        out.push_str("There is no SMS channel.\n");
    } else {
        let names = |names: &[&str]| names.join(", ");
        let _ = writeln!(
            out,
            "\nAnswers of clients: GET or POST; a query, a form or JSON with the client's number, the text, and an id if there is one.\n  \
             number: {}\n  text: {}\n  id: {}\n  without case, - and _; anything else is answered 400 and counted as unreadable.",
            names(&inbound::FROM),
            names(&inbound::TEXT),
            names(&inbound::ID)
        );
        if hooks.iter().any(|hook| hook.kind.is_none()) {
            let _ = writeln!(
                out,
                "Write the provider's name in the channel for {PROVIDER}; to Kannel's get-url add &from=%p&to=%P&text=%b&id=%I.\n\
                 With -f (the MessageChannels) both are done."
            );
        }
        out.push_str("The addresses hold keys: keep them as you keep passwords.\n");
    }
    let _ = writeln!(
        out,
        "\nCalls, chats, forms and what else CRMs and telephony report, as CloudEvents with a bearer token:\n  {signals}"
    );
    out
}

/// SMS channels that the funnels' newest revisions name, broken and removed ones too: their clients may still answer.
async fn in_force(store: &Store) -> Result<Vec<Declared>, String> {
    let mut names = BTreeSet::new();
    for revision in store.journal.revisions().await.map_err(|e| e.to_string())? {
        // As it stands there: a revision of another version may hold what this one cannot read.
        let channels = revision.snapshot.get("channels").and_then(Value::as_object);
        let sms = channels.into_iter().flatten().filter(|(_, facts)| facts.get("sms").is_some());
        names.extend(sms.map(|(name, _)| format!("{}/{name}", revision.funnel.namespace)));
    }
    Ok(names.into_iter().map(|channel| Declared { channel, provider: PROVIDER.into(), kind: None }).collect())
}

fn in_manifests(paths: &[PathBuf]) -> Result<Vec<Declared>, String> {
    let admission = Admission::of_this_version();
    let mut loaded = Loaded::default();
    for path in paths {
        let read = if path == Path::new("-") {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map_err(|e| format!("standard input: {e}"))?;
            source::load_text(Path::new("stdin"), &bytes, &admission.kinds())
        } else {
            Folder::new(path, admission.kinds()).load().map_err(|e| e.to_string())?
        };
        loaded.manifests.extend(read.manifests);
        loaded.problems.extend(read.problems);
        loaded.files += read.files;
    }
    let admitted = admission.admit(&loaded);
    if admitted.problems.iter().any(|problem| problem.severity == Severity::Error) {
        eprintln!("rekindle: some of it is not valid and left out; rekindle validate says what");
    }
    let mut declared = Vec::new();
    for object in admitted.snapshot.objects.iter().filter(|object| object.kind == "MessageChannel") {
        let spec = object.value.get("spec").filter(|spec| spec.get("sms").is_some());
        let providers = spec.and_then(|spec| spec.get("providers")).and_then(Value::as_array);
        for provider in providers.into_iter().flatten() {
            let word = |name: &str| provider.get(name).and_then(Value::as_str).map(str::to_owned);
            declared.push(Declared {
                channel: format!("{}/{}", object.namespace, object.name),
                provider: word("name").unwrap_or_else(|| PROVIDER.into()),
                kind: word("type"),
            });
        }
    }
    Ok(declared)
}

#[cfg(test)]
mod tests {
    use super::{Declared, hooks, in_manifests, text};
    use crate::links::hook_key;

    const CHANNELS: &str = "apiVersion: v1
kind: List
items:
- apiVersion: rekindle.dev/v1alpha1
  kind: MessageChannel
  metadata: {name: sms, namespace: marketing}
  spec:
    sms: {from: \"7777\", optOut: Keyword}
    providers:
    - {name: second, type: Http, http: {request: {url: \"https://sms.test/send\"}}}
    - {name: main, type: Kannel, kannel: {url: \"http://kannel:13013\", secretRef: {name: kannel}}}
- apiVersion: rekindle.dev/v1alpha1
  kind: MessageChannel
  metadata: {name: mail, namespace: marketing}
  spec:
    email: {from: {name: Sales, address: hello@news.example.com}}
    providers: [{name: relay, type: Smtp, smtp: {host: mail}}]
";

    #[test]
    fn a_platform_team_finds_the_addresses_for_stop_of_every_sms_provider() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("channels.yaml"), CHANNELS).unwrap();
        let declared = in_manifests(&[folder.path().to_owned()]).unwrap();
        let secret = [7; 32];
        let key = hook_key(&secret, "marketing/sms");
        let hooks = hooks(declared, "https://go.example.com", &secret);
        let base = "https://go.example.com/hooks/marketing/sms";
        let got: Vec<_> = hooks.iter().map(|h| (h.provider.as_str(), h.inbound.as_str(), h.receipt.as_deref())).collect();
        let (main, second) = (
            format!("{base}/main/inbound?k={key}&from=%p&to=%P&text=%b&id=%I"),
            (format!("{base}/second/inbound?k={key}"), format!("{base}/second/receipt?k={key}")),
        );
        assert_eq!(got, [("main", main.as_str(), None), ("second", second.0.as_str(), Some(second.1.as_str()))]);
        let text = text(&hooks, "https://go.example.com/v1/signals");
        for said in [main.as_str(), &second.1, "get-url", "msisdn", "originator", "/v1/signals"] {
            assert!(text.contains(said), "{said} in {text}");
        }
        assert!(!text.contains("PROVIDER"), "{text}");
    }

    #[test]
    fn the_store_alone_tells_the_key_and_what_is_to_be_filled_in() {
        let declared = vec![Declared { channel: "marketing/sms".into(), provider: "PROVIDER".into(), kind: None }];
        let text = text(&hooks(declared, "https://go.example.com", &[7; 32]), "https://go.example.com/v1/signals");
        for said in ["/hooks/marketing/sms/PROVIDER/inbound?k=", "&from=%p&to=%P&text=%b&id=%I", "for PROVIDER"] {
            assert!(text.contains(said), "{said} in {text}");
        }
    }
}
