//! etcd and kube-apiserver, started once; they end with this process.

use crate::child::{Child, port, skip};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::Value;
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

pub struct ControlPlane {
    dir: PathBuf,
    pub port: u16,
    kubectl: PathBuf,
    /// The API server first: one whose etcd is gone hangs in its drain.
    _programs: [Child; 2],
}

/// `TEST_ASSET_KUBE_APISERVER`, then `KUBEBUILDER_ASSETS`, then what `scripts/control-plane` built.
fn program(name: &str) -> Option<PathBuf> {
    let asset = format!("TEST_ASSET_{}", name.to_uppercase().replace('-', "_"));
    let named = std::env::var_os(asset).map(PathBuf::from);
    let folder = std::env::var_os("KUBEBUILDER_ASSETS").map(|dir| PathBuf::from(dir).join(name));
    let cache = std::env::var_os("REKINDLE_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/rekindle")));
    let built = cache.map(|cache| cache.join("control-plane").join(name));
    let usual = PathBuf::from("/usr/local/kubebuilder/bin").join(name);
    [named, folder, built, Some(usual)].into_iter().flatten().find(|path| path.is_file())
}

/// The control plane, or a loud skip.
pub fn get() -> Option<&'static ControlPlane> {
    static ONE: OnceLock<Option<ControlPlane>> = OnceLock::new();
    let one = ONE.get_or_init(start);
    if one.is_none() {
        skip("no etcd, kube-apiserver and kubectl; make control-plane builds them");
    }
    one.as_ref()
}

fn start() -> Option<ControlPlane> {
    let (etcd, apiserver, kubectl) = (program("etcd")?, program("kube-apiserver")?, program("kubectl")?);
    let dir = tempfile::Builder::new().prefix("rk-kube").tempdir().unwrap().keep();
    certificates(&dir);
    let (peer, client, secure) = (port(), port(), port());
    let d = dir.display();
    let etcd = Child::start(
        &etcd,
        &[
            &format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
            &format!("--listen-client-urls=http://127.0.0.1:{client}"),
            &format!("--advertise-client-urls=http://127.0.0.1:{client}"),
            &format!("--data-dir={d}/etcd"),
            "--unsafe-no-fsync=true",
        ],
        &dir.join("etcd.log"),
    );
    let apiserver = Child::start(
        &apiserver,
        &[
            &format!("--etcd-servers=http://127.0.0.1:{client}"),
            &format!("--secure-port={secure}"),
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            &format!("--cert-dir={d}"),
            &format!("--tls-cert-file={d}/serving.crt"),
            &format!("--tls-private-key-file={d}/serving.key"),
            &format!("--client-ca-file={d}/client-ca.crt"),
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged=true",
            "--disable-admission-plugins=ServiceAccount",
            &format!("--service-account-issuer=https://127.0.0.1:{secure}/"),
            &format!("--service-account-key-file={d}/accounts.crt"),
            &format!("--service-account-signing-key-file={d}/accounts.key"),
        ],
        &dir.join("apiserver.log"),
    );
    let plane = ControlPlane { dir, port: secure, kubectl, _programs: [apiserver, etcd] };
    let user = format!("{{client-certificate: {0}/admin.crt, client-key: {0}/admin.key}}", plane.dir.display());
    fs::write(plane.dir.join("admin"), plane.kubeconfig(plane.port, &user)).unwrap();
    let since = Instant::now();
    while !plane.kubectl(&["get", "--raw", "/readyz"]).status.success() {
        let log = fs::read_to_string(plane.dir.join("apiserver.log")).unwrap_or_default();
        assert!(since.elapsed() < Duration::from_mins(1), "the API server does not become ready:\n{log}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let applied = plane.kubectl(&["apply", "--server-side", "--warnings-as-errors", "-f", crds.to_str().unwrap()]);
    assert!(applied.status.success(), "{applied:?}");
    plane.must(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]);
    Some(plane)
}

/// Three authorities: for the server, for clients, for tokens.
fn certificates(dir: &Path) {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(dir.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
        Issuer::new(params, key)
    };
    let sign = |name: &str, params: &CertificateParams, issuer: &Issuer<'_, KeyPair>| {
        let key = KeyPair::generate().unwrap();
        fs::write(dir.join(format!("{name}.crt")), params.signed_by(&key, issuer).unwrap().pem()).unwrap();
        fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    };
    let serving = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    sign("serving", &serving, &authority("serving-ca"));
    let mut admin = CertificateParams::new(Vec::new()).unwrap();
    admin.distinguished_name.push(DnType::OrganizationName, "system:masters");
    admin.distinguished_name.push(DnType::CommonName, "admin");
    admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    sign("admin", &admin, &authority("client-ca"));
    authority("accounts");
}

impl ControlPlane {
    /// A kubeconfig for a server on `port`, which may be a proxy before the real one.
    pub fn kubeconfig(&self, port: u16, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{{name: c, cluster: {{server: \"https://127.0.0.1:{port}\", \
             certificate-authority: {}/serving-ca.crt}}}}]\nusers: [{{name: u, user: {user}}}]\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n",
            self.dir.display()
        )
    }

    pub fn kubectl(&self, args: &[&str]) -> Output {
        Command::new(&self.kubectl).arg("--kubeconfig").arg(self.dir.join("admin")).args(args).output().unwrap()
    }

    /// As an administrator; what it printed.
    pub fn must(&self, args: &[&str]) -> String {
        let out = self.kubectl(args);
        assert!(out.status.success(), "kubectl {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// What the API server says to a manifest: all of its output, and whether it took it.
    pub fn apply(&self, namespace: &str, manifest: &str) -> (bool, String) {
        let mut child = Command::new(&self.kubectl)
            .arg("--kubeconfig")
            .arg(self.dir.join("admin"))
            .args(["apply", "--server-side", "--force-conflicts", "-n", namespace, "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        let said = [out.stdout, out.stderr].concat();
        (out.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// A namespace that nobody else has.
    pub fn namespace(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.must(&["create", "namespace", &name]);
        name
    }

    /// An object, or null.
    pub fn object(&self, namespace: &str, kind: &str, name: &str) -> Value {
        let out = self.kubectl(&["get", kind, name, "-n", namespace, "-o", "json"]);
        serde_json::from_slice(&out.stdout).unwrap_or(Value::Null)
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
