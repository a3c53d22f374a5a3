//! Kannel: bearerbox, smsbox and its fake SMSC.

use super::child::{Child, listening, port, require, until};
use std::fs;
use tempfile::TempDir;

pub struct Kannel {
    pub sendsms: u16,
    /// In the order in which they are stopped.
    _boxes: Vec<Child>,
    dir: TempDir,
}

impl Kannel {
    /// `inbound` is the `get-url` of inbound messages; the SMSC brings in `message` (`from to text …`) once.
    pub async fn start(inbound: &str, message: &str) -> Option<Self> {
        let programs = require(&["bearerbox", "smsbox", "fakesmsc"])?;
        let dir = tempfile::tempdir().unwrap();
        let (admin, boxes, sendsms, smsc) = (port(), port(), port(), port());
        let d = dir.path().display();
        let conf = format!(
            "group = core\nadmin-port = {admin}\nadmin-password = adm\nadmin-interface = 127.0.0.1\nsmsbox-port = {boxes}\n\
             smsbox-interface = 127.0.0.1\nbox-deny-ip = \"*.*.*.*\"\nbox-allow-ip = \"127.0.0.1\"\nlog-level = 0\n\
             log-file = \"{d}/bb.log\"\naccess-log = \"{d}/access.log\"\ndlr-storage = internal\n\n\
             group = smsc\nsmsc = fake\nsmsc-id = fake\nport = {smsc}\nconnect-allow-ip = \"127.0.0.1\"\n\n\
             group = smsbox\nbearerbox-host = 127.0.0.1\nsendsms-port = {sendsms}\nsendsms-interface = 127.0.0.1\n\
             log-file = \"{d}/sb.log\"\nlog-level = 0\n\n\
             group = sendsms-user\nusername = tester\npassword = foobar\nmax-messages = 5\nconcatenation = true\n\n\
             group = sms-service\nkeyword = default\nget-url = \"{inbound}\"\nmax-messages = 0\nomit-empty = true\ncatch-all = true\n"
        );
        let file = dir.path().join("kannel.conf");
        fs::write(&file, conf).unwrap();
        let conf = file.to_str().unwrap();
        let bearerbox = Child::start(&programs[0], &["-v", "4", conf], &dir.path().join("bearerbox.out"));
        listening(smsc).await;
        listening(boxes).await;
        let (smsc, log) = (smsc.to_string(), dir.path().join("smsc.out"));
        let fake = Child::start(&programs[2], &["-H", "127.0.0.1", "-r", &smsc, "-i", "1", "-m", "1", message], &log);
        let smsbox = Child::start(&programs[1], &["-v", "4", conf], &dir.path().join("smsbox.out"));
        listening(sendsms).await;
        let kannel = Self { sendsms, dir, _boxes: vec![smsbox, fake, bearerbox] };
        until("the SMSC's connection", || kannel.log("bb.log").contains("fakesmsc")).await;
        Some(kannel)
    }

    /// What bearerbox says that it handed to the SMSC.
    pub fn log(&self, name: &str) -> String {
        fs::read(self.dir.path().join(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}
