//! Postfix's `smtp-sink`, and a private Postfix.

use super::child::{Child, listening, port, require, root, skip, until};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::PathBuf,
    process::Command,
};
use tempfile::TempDir;

pub struct Sink {
    pub port: u16,
    mails: PathBuf,
    _child: Child,
    _dir: TempDir,
}

impl Sink {
    /// With the flags of smtp-sink(1). Keeps what it gets.
    pub async fn start(flags: &[&str]) -> Option<Self> {
        let program = require(&["smtp-sink"])?.remove(0);
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let port = port();
        let mails = dir.path().join("mails");
        fs::create_dir(&mails).unwrap();
        fs::set_permissions(&mails, fs::Permissions::from_mode(0o777)).unwrap();
        let pattern = format!("{}/%M.", mails.display());
        let mut args: Vec<&str> = if root() { vec!["-u", "nobody"] } else { Vec::new() };
        args.extend(["-d", &pattern]);
        args.extend(flags);
        let address = format!("127.0.0.1:{port}");
        args.extend([address.as_str(), "100"]);
        let child = Child::start(&program, &args, &dir.path().join("log"));
        listening(port).await;
        Some(Self { port, mails, _child: child, _dir: dir })
    }

    /// Messages it kept whole, as it wrote them: its own `X-…` and `Received` headers, then ours, with LF line ends.
    pub fn mails(&self) -> Vec<String> {
        let files = fs::read_dir(&self.mails).unwrap();
        files.map(|file| String::from_utf8_lossy(&fs::read(file.unwrap().path()).unwrap()).into_owned()).collect()
    }
}

/// A Postfix of our own: relays `ok.test` and `bad.test` to two sinks, takes bounces for `b+…@bounce.test`, offers STARTTLS.
pub struct Postfix {
    pub port: u16,
    /// Its certificate.
    pub ca: String,
    pub ok: Sink,
    _bad: Sink,
    // Before the folder that it needs to end in order.
    _child: Child,
    dir: TempDir,
}

impl Postfix {
    pub async fn start() -> Option<Self> {
        let program = require(&["postfix"])?.remove(0);
        if !root() {
            skip("a private Postfix must be started as root");
            return None;
        }
        let ok = Sink::start(&[]).await?;
        let bad = Sink::start(&["-f", "RCPT", "-B", "550 5.1.1 no such user"]).await?;
        let dir = tempfile::tempdir().unwrap();
        let (uid, gid) = (id("-u"), id("-g"));
        let base = dir.path();
        fs::set_permissions(base, fs::Permissions::from_mode(0o755)).unwrap();
        for sub in ["etc", "spool", "data", "mail"] {
            fs::create_dir(base.join(sub)).unwrap();
        }
        for sub in ["data", "mail"] {
            chown(base.join(sub), Some(uid), Some(gid)).unwrap();
        }
        let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(base.join("etc/tls.pem"), format!("{}{}", key.signing_key.serialize_pem(), key.cert.pem())).unwrap();
        fs::write(base.join("etc/vmap"), "/^b(\\+.*)?@bounce\\.test$/ bounce/\n").unwrap();
        let d = base.display();
        let first = base.components().nth(1).map(|c| format!("/{}", c.as_os_str().display())).unwrap();
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {d}/spool\ndata_directory = {d}/data\nmail_owner = postfix\n\
             setgid_group = postdrop\nmaillog_file = {d}/mail/postfix.log\nmaillog_file_prefixes = /var, {first}\n\
             myhostname = mta.test\nmydestination =\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmynetworks = 127.0.0.0/8\n\
             alias_maps =\nlocal_recipient_maps =\nsmtp_dns_support_level = disabled\n\
             smtpd_relay_restrictions = permit_mynetworks, reject\nrelay_domains = ok.test, bad.test\n\
             transport_maps = inline:{{ok.test=smtp:[127.0.0.1]:{}, bad.test=smtp:[127.0.0.1]:{}}}\n\
             virtual_mailbox_domains = bounce.test\nvirtual_mailbox_base = {d}/mail\nvirtual_mailbox_maps = regexp:{d}/etc/vmap\n\
             virtual_minimum_uid = 1\nvirtual_uid_maps = static:{uid}\nvirtual_gid_maps = static:{gid}\nrecipient_delimiter = +\n\
             smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {d}/etc/tls.pem\n",
            ok.port, bad.port
        );
        fs::write(base.join("etc/main.cf"), main).unwrap();
        let port = port();
        let services = [
            "pickup unix n - n 60 1 pickup",
            "cleanup unix n - n - 0 cleanup",
            "qmgr unix n - n 300 1 qmgr",
            "tlsmgr unix - - n 1000? 1 tlsmgr",
            "rewrite unix - - n - - trivial-rewrite",
            "bounce unix - - n - 0 bounce",
            "defer unix - - n - 0 bounce",
            "trace unix - - n - 0 bounce",
            "verify unix - - n - 1 verify",
            "flush unix n - n 1000? 0 flush",
            "proxymap unix - - n - - proxymap",
            "smtp unix - - n - - smtp",
            "relay unix - - n - - smtp",
            "showq unix n - n - - showq",
            "error unix - - n - - error",
            "retry unix - - n - - error",
            "discard unix - - n - - discard",
            "virtual unix - n n - - virtual",
            "anvil unix - - n - 1 anvil",
            "scache unix - - n - 1 scache",
            "postlog unix-dgram n - n - 1 postlogd",
        ];
        fs::write(base.join("etc/master.cf"), format!("{port} inet n - n - - smtpd\n{}\n", services.join("\n"))).unwrap();
        let etc = format!("{d}/etc");
        // `start-fg` puts the master into a session of its own, some seconds after its start.
        let stop = format!("n=0; until kill $(cat {d}/spool/pid/master.pid) || [ $n -gt 40 ]; do n=$((n+1)); sleep 0.1; done");
        let child = Child::start_and_stop(&program, &["-c", &etc, "start-fg"], &base.join("log"), &stop);
        listening(port).await;
        Some(Self { port, ca: key.cert.pem(), ok, _bad: bad, _child: child, dir })
    }

    /// Bounces that came back.
    pub fn bounces(&self) -> Vec<String> {
        let Ok(files) = fs::read_dir(self.dir.path().join("mail/bounce/new")) else { return Vec::new() };
        files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }

    pub async fn relayed(&self, count: usize) {
        until("relaying", || self.ok.mails().iter().filter(|m| m.contains("\n\n")).count() >= count).await;
    }
}

fn id(which: &str) -> u32 {
    let out = Command::new("id").args([which, "postfix"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}
