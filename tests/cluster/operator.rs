//! The real binary as `rekindle operator`, with the rights that the chart gives it and no others.

use crate::{
    control_plane::{self, ControlPlane},
    manifests,
};
use serde_json::Value;
use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// What may report signals to the operators of these tests.
pub const TOKEN: &str = "a-token-of-the-telephony";

/// One test's namespace, and what its operators have in common.
pub struct World {
    pub plane: &'static ControlPlane,
    pub namespace: String,
    pub dir: tempfile::TempDir,
    pub store: String,
}

/// The chart's own rights: what it renders for an installation that watches single namespaces, put into this test's.
fn rights(namespace: &str) -> String {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/rekindle/tests/golden/namespaced.yaml");
    let golden = fs::read_to_string(golden).unwrap();
    let wanted = |document: &&str| {
        let kinds = ["\nkind: ServiceAccount\n", "\nkind: Role\n", "\nkind: RoleBinding\n"];
        kinds.iter().any(|kind| document.contains(kind)) && !document.contains("  namespace: clinic\n")
    };
    let here = |document: &str| {
        let mut document = document.to_owned();
        if document.contains("\nkind: Role") && document.contains("  namespace: rekindle\n") {
            // Two namespaces become one: their roles need two names.
            document = document.replace("  name: rekindle\n", "  name: rekindle-own\n");
            document = document.replace("kind: Role, name: rekindle}", "kind: Role, name: rekindle-own}");
        }
        let namespace = format!("namespace: {namespace}");
        document.replace("namespace: rekindle", &namespace).replace("namespace: marketing", &namespace)
    };
    golden.split("\n---\n").filter(wanted).map(here).collect::<Vec<_>>().join("\n---\n")
}

impl World {
    /// On SQLite. `None`: skipped, loudly.
    pub fn new() -> Option<Self> {
        let plane = control_plane::get()?;
        let namespace = plane.namespace();
        let dir = tempfile::tempdir().unwrap();
        let store = format!("sqlite:{}", dir.path().join("store.db").display());
        let world = Self { plane, namespace, dir, store };
        world.apply(&rights(&world.namespace));
        Some(world)
    }

    /// On a PostgreSQL database of its own.
    pub fn on_postgres() -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = runtime.block_on(crate::postgres::database())?;
        Some(Self { store, ..Self::new()? })
    }

    pub fn apply(&self, manifest: &str) {
        let (taken, said) = self.plane.apply(&self.namespace, manifest);
        assert!(taken, "{said}");
    }

    /// The operator's rights in another namespace, and the way to take them back.
    pub fn grant(&self, other: &str) {
        let rights = rights(other);
        // Its ServiceAccount stays the one of this namespace.
        let subject = format!("name: rekindle, namespace: {}}}]", self.namespace);
        let rights = rights.replace(&format!("name: rekindle, namespace: {other}}}]"), &subject);
        let (taken, said) = self.plane.apply(other, &rights);
        assert!(taken, "{said}");
    }

    pub fn revoke(&self, other: &str) {
        self.plane.must(&["delete", "rolebindings", "--all", "-n", other]);
    }

    /// The small world with its deals.
    pub fn fill(&self, smtp: u16, deals: usize, lost: bool) {
        self.apply(&manifests::deals(deals, lost));
        self.apply(&manifests::world(smtp));
    }

    pub fn start(&self, name: &str) -> Operator {
        self.start_at(name, self.plane.port)
    }

    /// An operator whose API server is on `port`.
    pub fn start_at(&self, name: &str, port: u16) -> Operator {
        self.start_with(name, port, &[])
    }

    /// With more arguments.
    pub fn start_with(&self, name: &str, port: u16, args: &[&str]) -> Operator {
        let token = self.plane.must(&["create", "token", "rekindle", "-n", &self.namespace]);
        let kubeconfig = self.dir.path().join(format!("{name}.kubeconfig"));
        fs::write(&kubeconfig, self.plane.kubeconfig(port, &format!("{{token: {}}}", token.trim()))).unwrap();
        let path = self.dir.path().join(format!("{name}.log"));
        let log = fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let mut usual = vec!["--namespace", &self.namespace, "--watch-namespace", &self.namespace, "--identity", name];
        // As the chart calls it: its rights are for this name.
        usual.extend(["--lease-name", "rekindle"]);
        for (flag, value) in [("--store", self.store.as_str()), ("--signal-tokens", TOKEN)] {
            // Unless it is read from a file.
            if !args.contains(&format!("{flag}-file").as_str()) {
                usual.extend([flag, value]);
            }
        }
        let child = Command::new(env!("CARGO_BIN_EXE_rekindle"))
            .args(["operator", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--public-url", "https://go.example.com"])
            .args(usual)
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env("RUST_LOG", "rekindle=info")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Operator { child, log: path }
    }

    pub fn object(&self, kind: &str, name: &str) -> Value {
        self.plane.object(&self.namespace, kind, name)
    }

    /// `kubectl wait`, as people and pipelines use it.
    pub fn until_ready(&self, what: &str) {
        self.plane.must(&["wait", "--for=condition=Ready", what, "-n", &self.namespace, "--timeout=30s"]);
    }

    pub fn must(&self, args: &[&str]) -> String {
        self.plane.must(&[args, &["-n", &self.namespace]].concat())
    }

    /// Reasons and notes of all events.
    pub fn events(&self) -> Vec<(String, String)> {
        let out = self.must(&["get", "events", "-o", "json"]);
        let list: Value = serde_json::from_str(&out).unwrap();
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
        list["items"].as_array().unwrap().iter().map(|e| (text(e, "reason"), text(e, "message"))).collect()
    }

    pub fn command(&self, args: &[&str]) -> String {
        let out = Command::new(env!("CARGO_BIN_EXE_rekindle")).args(args).args(["--store", &self.store]).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// Messages that providers took, by `rekindle status`: their word is written down.
    pub fn accepted(&self) -> u64 {
        let status: Value = serde_json::from_str(&self.command(&["status", "-o", "json"])).unwrap();
        let rows = status["funnels"][0]["messages"].as_array().cloned().unwrap_or_default();
        rows.iter().filter(|row| row[1] == "accepted").filter_map(|row| row[2].as_u64()).sum()
    }

    /// Waits for something a user can see.
    pub fn wait(&self, what: &str, patience: Duration, mut seen: impl FnMut() -> bool) -> Duration {
        let since = Instant::now();
        while !seen() {
            assert!(since.elapsed() < patience, "waited {patience:?} for {what}; {}", self.story());
            std::thread::sleep(Duration::from_millis(50));
        }
        since.elapsed()
    }

    /// What helps to understand a failure.
    fn story(&self) -> String {
        let logs = fs::read_dir(self.dir.path()).unwrap().flatten().filter(|f| f.path().extension().is_some_and(|e| e == "log"));
        let logs: Vec<String> =
            logs.map(|f| format!("== {}\n{}", f.file_name().display(), fs::read_to_string(f.path()).unwrap_or_default())).collect();
        format!("{}\n{}", self.object("funnel", "sales")["status"], logs.join("\n"))
    }
}

/// Status, reason and message of a condition; empty texts where there is none.
pub fn condition(object: &Value, kind: &str) -> [String; 3] {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default();
    ["status", "reason", "message"].map(|field| found[field].as_str().unwrap_or_default().to_owned())
}

/// A running operator; killed when dropped.
pub struct Operator {
    child: Child,
    log: PathBuf,
}

impl Operator {
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether its engine works, by its own words.
    pub fn works(&self) -> bool {
        let plain = self.log();
        let last = plain.lines().rfind(|line| line.contains("phase"));
        last.is_some_and(|line| line.contains("Working"))
    }

    pub fn admin(&self) -> String {
        self.address("health and metrics on http://")
    }

    /// Where clients' pages and signals are served.
    pub fn pages(&self) -> String {
        self.address("pages on http://")
    }

    fn address(&self, before: &str) -> String {
        let log = self.log();
        let after = log.split(before).nth(1).unwrap_or_default();
        after.split([',', '\n']).next().unwrap_or_default().to_owned()
    }

    /// The body of a page of its admin listener, with the status line.
    pub fn get(&self, path: &str) -> String {
        use std::io::{Read as _, Write as _};
        let Ok(mut stream) = std::net::TcpStream::connect(self.admin()) else { return String::new() };
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A figure of its metrics, summed over the labels that are not named.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let page = self.get("/metrics");
        let lines = page.lines().filter(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// SIGTERM; does not wait.
    pub fn terminate(&self) {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
