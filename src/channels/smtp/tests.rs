//! Against scripted servers that fail on purpose.

use super::{Channel, Job, Smtp, Timeouts};
use crate::{
    channels::Report,
    compile::{Secret, SmtpTls, SmtpWiring},
    content::{EmailMessage, Rendered},
    model::{Address, CopyId, EffectRef, Email, Outcome},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::mpsc,
    time::Instant,
};
use tokio_rustls::TlsAcceptor;

/// What a scripted server does at one moment.
#[derive(Clone, Debug)]
enum Act {
    Say(&'static str),
    SayAndClose(&'static str),
    Close,
    /// Never answers.
    Stall,
    /// Answers after this long.
    Late(Duration, &'static str),
}

/// One connection's script: what happens at the nth occurrence (from 1) of a verb; everything else succeeds.
#[derive(Clone, Default)]
struct Script {
    announce: Vec<&'static str>,
    acts: Vec<(&'static str, usize, Act)>,
    /// One byte a write.
    dribble: bool,
    /// TLS from the first byte.
    tls: bool,
}

#[derive(Default)]
struct Seen {
    /// Bodies that were accepted.
    bodies: Vec<String>,
    /// Verbs in order, over all connections.
    verbs: Vec<String>,
    connections: usize,
}

struct Server {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    ca: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// The nth connection follows the nth script, later ones the last.
    async fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![key.cert.der().clone()],
                rustls::pki_types::PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into()),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (ca, shared) = (key.cert.pem(), seen.clone());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            let mut n = 0;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let script = scripts.get(n).or(scripts.last()).cloned().unwrap();
                n += 1;
                shared.lock().unwrap().connections = n;
                let (shared, acceptor) = (shared.clone(), acceptor.clone());
                connections.spawn(async move {
                    let mut counts = HashMap::new();
                    if script.tls {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        converse(stream, &script, &shared, &mut counts, true).await;
                    } else if let Some(stream) = converse(stream, &script, &shared, &mut counts, true).await {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        converse(stream, &script, &shared, &mut counts, false).await;
                    }
                });
            }
        });
        Self { port, seen, ca, task }
    }

    fn bodies(&self) -> Vec<String> {
        self.seen.lock().unwrap().bodies.clone()
    }

    fn verbs(&self) -> String {
        self.seen.lock().unwrap().verbs.join(" ")
    }

    fn wiring(&self) -> SmtpWiring {
        SmtpWiring {
            host: "127.0.0.1".into(),
            port: self.port,
            tls: SmtpTls::None,
            username: None,
            password: None,
            ca: None,
            connections: 1,
            messages_per_connection: 100,
            depth: 1,
            pipelining: true,
            helo: "client.test".into(),
        }
    }
}

/// Speaks until the end; gives the stream back for STARTTLS.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    script: &Script,
    seen: &Mutex<Seen>,
    counts: &mut HashMap<String, usize>,
    greet: bool,
) -> Option<S> {
    let mut io = BufReader::new(stream);
    let announced = std::iter::once("mx.test").chain(script.announce.iter().copied()).collect::<Vec<_>>();
    let lines: Vec<_> = announced.iter().map(|line| format!("250-{line}\r\n")).collect();
    let hello = format!("{}250 HELP\r\n", lines.concat());
    let mut pending = greet.then(|| "CONNECT".to_owned());
    let mut data = None::<String>;
    loop {
        let verb = if let Some(verb) = pending.take() {
            verb
        } else {
            let mut line = Vec::new();
            if io.read_until(b'\n', &mut line).await.ok()? == 0 {
                return None;
            }
            let line = String::from_utf8(line).unwrap();
            if let Some(body) = &mut data {
                if line != ".\r\n" {
                    body.push_str(line.strip_prefix('.').unwrap_or(&line));
                    continue;
                }
                "DOT".to_owned()
            } else {
                line.split([' ', '\r']).next().unwrap().to_uppercase()
            }
        };
        let count = counts.entry(verb.clone()).or_default();
        *count += 1;
        seen.lock().unwrap().verbs.push(verb.clone());
        let act = script.acts.iter().find(|(v, n, _)| *v == verb && n == count).map(|(_, _, act)| act.clone());
        let act = act.unwrap_or(Act::Say(match verb.as_str() {
            "CONNECT" => "220 mx.test\r\n",
            "DATA" => "354 go\r\n",
            "STARTTLS" => "220 go\r\n",
            "QUIT" => "221 bye\r\n",
            "DOT" => "250 2.0.0 Ok: queued as Q1\r\n",
            _ => "250 2.0.0 Ok\r\n",
        }));
        let (say, close) = match act {
            Act::Say("250 2.0.0 Ok\r\n") if verb == "EHLO" => (hello.clone(), false),
            Act::Say(text) => (text.to_owned(), verb == "QUIT"),
            Act::SayAndClose(text) => (text.to_owned(), true),
            Act::Close => (String::new(), true),
            Act::Stall => std::future::pending().await,
            Act::Late(after, text) => {
                tokio::time::sleep(after).await;
                (text.to_owned(), false)
            }
        };
        if verb == "DOT" {
            let body = data.take();
            if say.starts_with('2') {
                seen.lock().unwrap().bodies.extend(body);
            }
        }
        if verb == "DATA" && say.starts_with('3') {
            data = Some(String::new());
        }
        if script.dribble {
            for byte in say.bytes() {
                io.write_all(&[byte]).await.ok()?;
                io.flush().await.ok()?;
                tokio::task::yield_now().await;
            }
        } else {
            io.write_all(say.as_bytes()).await.ok()?;
            io.flush().await.ok()?;
        }
        if close {
            io.shutdown().await.ok()?;
            // Read on until the client hangs up, so that its writes do not turn into a reset that swallows our words.
            let _ = io.read_to_end(&mut Vec::new()).await;
            return None;
        }
        if verb == "STARTTLS" && say.starts_with('2') {
            return Some(io.into_inner());
        }
    }
}

fn job(n: i32) -> Job {
    Job {
        effect: EffectRef { copy: CopyId(1), seq: n },
        attempt: 1,
        key: uuid::Uuid::nil(),
        to: Address::Email(Email::parse(&format!("u{n}@x.test")).unwrap()),
        message: Rendered::Email(EmailMessage {
            envelope_from: "a@y.test".into(),
            raw: format!("From: a@y.test\r\nSubject: {n}\r\n\r\n.hidden\n.\r\nbody {n}"),
        }),
        receipt_url: None,
    }
}

fn limits() -> Timeouts {
    let short = Duration::from_millis(400);
    let long = Duration::from_secs(10);
    Timeouts { connect: long, greeting: short, command: short, data: short, block: long, dot: short, quit: short, idle: long }
}

fn smtp(wiring: &SmtpWiring) -> Smtp {
    Smtp::with_timeouts("relay", wiring, None, limits()).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

async fn outcomes(channel: &dyn Channel, jobs: Vec<Job>, deadline: Instant) -> Vec<Outcome> {
    let count = jobs.len();
    let (tx, mut rx) = mpsc::unbounded_channel();
    channel.perform(jobs, deadline, tx).await;
    let mut reports = Vec::<Report>::new();
    while let Some(report) = rx.recv().await {
        reports.push(report);
    }
    assert_eq!(reports.len(), count, "every job is reported once");
    reports.sort_by_key(|r| r.effect);
    assert!(reports.windows(2).all(|w| w[0].effect != w[1].effect));
    reports.into_iter().map(|r| r.outcome).collect()
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Retry { .. } => "retry",
        Outcome::Rejected { suppress: true, .. } => "suppress",
        Outcome::Rejected { .. } => "reject",
        Outcome::ChannelDown { .. } => "channel",
        Outcome::Unknown { .. } => "unknown",
        Outcome::NotStarted => "not started",
        Outcome::Delivered | Outcome::Expired => "?",
    }
}

fn words(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes.iter().map(word).collect()
}

const FULL: [&str; 4] = ["PIPELINING", "SIZE 100000", "8BITMIME", "ENHANCEDSTATUSCODES"];

fn script(acts: &[(&'static str, usize, Act)]) -> Script {
    Script { announce: FULL.to_vec(), acts: acts.to_vec(), ..Script::default() }
}

#[tokio::test]
async fn messages_arrive_whole_and_once_whatever_the_server_can() {
    for announce in [&FULL[..], &[]] {
        for dribble in [false, true] {
            let server = Server::start(vec![Script { announce: announce.to_vec(), dribble, ..Script::default() }]).await;
            let channel = smtp(&SmtpWiring { connections: 3, messages_per_connection: 4, ..server.wiring() });
            let got = outcomes(&channel, (0..20).map(job).collect(), soon()).await;
            assert!(
                got.iter().all(|o| *o == Outcome::Accepted { provider: "relay".into(), provider_id: Some("Q1".into()) }),
                "{got:?}"
            );
            let mut bodies = server.bodies();
            bodies.sort();
            let mut want: Vec<String> =
                (0..20).map(|n| format!("From: a@y.test\r\nSubject: {n}\r\n\r\n.hidden\r\n.\r\nbody {n}\r\n")).collect();
            want.sort();
            assert_eq!(bodies, want);
            assert!(server.seen.lock().unwrap().connections >= 5, "no more than 4 on each");
        }
    }
}

#[tokio::test]
async fn a_session_is_used_again() {
    let server = Server::start(vec![script(&[])]).await;
    let channel = smtp(&server.wiring());
    for n in 0..3 {
        assert_eq!(words(&outcomes(&channel, vec![job(n)], soon()).await), ["accepted"]);
    }
    assert_eq!(server.seen.lock().unwrap().connections, 1);
}

/// One server that fails at one moment, then a sound one; three messages on one connection, pipelined and not.
#[tokio::test]
async fn what_a_failure_means_depends_on_its_moment() {
    let down = "421 4.3.2 closing\r\n";
    for (act, pipelined, plain) in [
        // After the final dot nobody knows; what follows is untouched and goes on over the next connection.
        (("DOT", 1, Act::Close), ["unknown", "accepted", "accepted"], ["unknown", "accepted", "accepted"]),
        (("DOT", 2, Act::Close), ["accepted", "unknown", "accepted"], ["accepted", "unknown", "accepted"]),
        (
            ("DOT", 1, Act::SayAndClose("421 4.0.0 closing\r\n")),
            ["unknown", "accepted", "accepted"],
            ["unknown", "accepted", "accepted"],
        ),
        (("DOT", 1, Act::Stall), ["unknown", "accepted", "accepted"], ["unknown", "accepted", "accepted"]),
        (("DOT", 1, Act::SayAndClose("nonsense\r\n")), ["unknown", "accepted", "accepted"], ["unknown", "accepted", "accepted"]),
        // A reply decides.
        (("DOT", 1, Act::Say("451 4.3.0 later\r\n")), ["retry", "accepted", "accepted"], ["retry", "accepted", "accepted"]),
        (("DOT", 2, Act::Say("554 5.6.0 bad\r\n")), ["accepted", "reject", "accepted"], ["accepted", "reject", "accepted"]),
        (("DOT", 1, Act::Say("550 5.7.1 spam\r\n")), ["channel", "accepted", "accepted"], ["channel", "accepted", "accepted"]),
        // Before content nothing was accepted.
        (("MAIL", 1, Act::Close), ["retry", "accepted", "accepted"], ["retry", "accepted", "accepted"]),
        (("RCPT", 1, Act::Stall), ["retry", "accepted", "accepted"], ["retry", "accepted", "accepted"]),
        (("DATA", 1, Act::Close), ["retry", "accepted", "accepted"], ["retry", "accepted", "accepted"]),
        (("MAIL", 1, Act::SayAndClose(down)), ["retry", "accepted", "accepted"], ["retry", "accepted", "accepted"]),
        // On a session that had served before, it is simply done again.
        (("MAIL", 2, Act::SayAndClose(down)), ["accepted", "accepted", "accepted"], ["accepted", "accepted", "accepted"]),
        (("MAIL", 2, Act::Close), ["accepted", "accepted", "accepted"], ["accepted", "accepted", "accepted"]),
        (("RCPT", 1, Act::Say("550 5.1.1 no\r\n")), ["suppress", "accepted", "accepted"], ["suppress", "accepted", "accepted"]),
        (("RCPT", 2, Act::Say("452 4.2.2 full\r\n")), ["accepted", "retry", "accepted"], ["accepted", "retry", "accepted"]),
        (("DATA", 1, Act::Say("451 4.3.0 no\r\n")), ["retry", "accepted", "accepted"], ["retry", "accepted", "accepted"]),
        (("MAIL", 1, Act::Say("552 5.3.4 big\r\n")), ["reject", "accepted", "accepted"], ["reject", "accepted", "accepted"]),
    ] {
        for (pipelining, want) in [(true, pipelined), (false, plain)] {
            let server = Server::start(vec![script(std::slice::from_ref(&act)), script(&[])]).await;
            let channel = smtp(&SmtpWiring { pipelining, ..server.wiring() });
            let got = outcomes(&channel, (0..3).map(job).collect(), soon()).await;
            assert_eq!(words(&got), want, "{act:?} pipelining {pipelining}: {got:?}; {}", server.verbs());
            let accepted = want.iter().filter(|w| **w == "accepted").count();
            let bodies = server.bodies().iter().filter(|b| b.contains("Subject")).count();
            assert_eq!(bodies, accepted, "{act:?} pipelining {pipelining}: {}", server.verbs());
        }
    }
}

#[tokio::test]
async fn data_taken_for_nobody_is_ended_by_a_lone_dot() {
    let server = Server::start(vec![script(&[
        ("RCPT", 1, Act::Say("550 5.1.1 no\r\n")),
        ("DOT", 1, Act::Say("554 5.5.1 no recipients\r\n")),
    ])])
    .await;
    let got = outcomes(&smtp(&server.wiring()), (0..2).map(job).collect(), soon()).await;
    assert_eq!(words(&got), ["suppress", "accepted"]);
    assert_eq!(server.verbs(), "CONNECT EHLO MAIL RCPT DATA DOT RSET MAIL RCPT DATA DOT");
    assert_eq!(server.bodies().len(), 1);
}

#[tokio::test]
async fn without_pipelining_a_refused_recipient_costs_no_data() {
    let server = Server::start(vec![Script { acts: vec![("RCPT", 1, Act::Say("550 5.1.1 no\r\n"))], ..Script::default() }]).await;
    let got = outcomes(&smtp(&server.wiring()), (0..2).map(job).collect(), soon()).await;
    assert_eq!(words(&got), ["suppress", "accepted"]);
    assert_eq!(server.verbs(), "CONNECT EHLO MAIL RCPT RSET MAIL RCPT DATA DOT");
}

#[tokio::test]
async fn a_server_that_is_down_answers_quickly_for_all() {
    for (act, want) in [
        (("CONNECT", 1, Act::SayAndClose("554 5.7.1 your address is blocked, see https://mx.test/why\r\n")), "channel"),
        (("CONNECT", 1, Act::SayAndClose("421 4.7.0 too many\r\n")), "retry"),
        (("CONNECT", 1, Act::SayAndClose("SSH-2.0-OpenSSH_9.2\r\n")), "retry"),
        (("CONNECT", 1, Act::Stall), "retry"),
        (("CONNECT", 1, Act::Close), "retry"),
    ] {
        let server = Server::start(vec![script(std::slice::from_ref(&act))]).await;
        let channel = smtp(&server.wiring());
        let got = outcomes(&channel, (0..3).map(job).collect(), soon()).await;
        assert_eq!(words(&got), [want; 3], "{act:?}");
        // Within the back-off nobody knocks again.
        assert_eq!(words(&outcomes(&channel, vec![job(9)], soon()).await), [want]);
        assert_eq!(server.seen.lock().unwrap().connections, 1, "{act:?}");
    }
    // One that greets and then hangs up each time is left alone after the third.
    let server = Server::start(vec![script(&[("MAIL", 1, Act::SayAndClose("421 4.3.2 closing\r\n"))])]).await;
    let got = outcomes(&smtp(&server.wiring()), (0..9).map(job).collect(), soon()).await;
    assert_eq!(words(&got), ["retry"; 9]);
    assert_eq!(server.seen.lock().unwrap().connections, 3);
    // Nobody listens at all.
    let port = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() };
    let wiring = SmtpWiring { port, ..Server::start(vec![script(&[])]).await.wiring() };
    assert_eq!(words(&outcomes(&smtp(&wiring), (0..2).map(job).collect(), soon()).await), ["retry"; 2]);
}

#[tokio::test]
async fn nothing_is_begun_after_the_deadline() {
    let server = Server::start(vec![script(&[])]).await;
    let channel = smtp(&server.wiring());
    assert_eq!(words(&outcomes(&channel, vec![job(0)], Instant::now()).await), ["not started"]);
    assert_eq!(server.bodies().len(), 0);

    // The permission for content comes too late: closing takes it back, and those in the queue never begin.
    let server = Server::start(vec![script(&[("DATA", 1, Act::Late(Duration::from_millis(250), "354 go\r\n"))])]).await;
    let got = outcomes(&smtp(&server.wiring()), (0..3).map(job).collect(), Instant::now() + Duration::from_millis(100)).await;
    assert_eq!(words(&got), ["not started"; 3]);
    assert_eq!(server.bodies().len(), 0);

    // A reply to a message that was begun is waited for beyond it.
    let server = Server::start(vec![script(&[("DOT", 1, Act::Late(Duration::from_millis(300), "250 2.0.0 Ok\r\n"))])]).await;
    let got = outcomes(&smtp(&server.wiring()), vec![job(0)], Instant::now() + Duration::from_millis(150)).await;
    assert_eq!(words(&got), ["accepted"]);
}

#[tokio::test]
async fn whoever_stops_waiting_leaves_nothing_in_the_queue() {
    let server = Server::start(vec![script(&[("CONNECT", 1, Act::Late(Duration::from_millis(200), "220 mx\r\n"))])]).await;
    let channel = smtp(&server.wiring());
    {
        let (tx, _rx) = mpsc::unbounded_channel();
        let performing = channel.perform((0..5).map(job).collect(), soon(), tx);
        let _ = tokio::time::timeout(Duration::from_millis(50), performing).await;
    }
    assert_eq!(words(&outcomes(&channel, vec![job(9)], soon()).await), ["accepted"]);
    // The one that a worker already held was no longer wanted either, but had been taken.
    assert!(server.bodies().len() <= 2, "{}", server.bodies().len());
}

#[tokio::test]
async fn starttls_is_all_or_nothing() {
    let with = |acts: &[(&'static str, usize, Act)]| Script { announce: vec!["PIPELINING", "STARTTLS"], ..script(acts) };
    // Not offered (or stripped on the way): nothing is sent in clear.
    let server = Server::start(vec![script(&[])]).await;
    let wiring = SmtpWiring { tls: SmtpTls::Starttls, ca: Some(server.ca.clone()), ..server.wiring() };
    assert_eq!(words(&outcomes(&smtp(&wiring), vec![job(0)], soon()).await), ["channel"]);
    assert_eq!(server.verbs(), "CONNECT EHLO");

    // Answers smuggled in before TLS are not believed.
    let server = Server::start(vec![with(&[("STARTTLS", 1, Act::Say("220 go\r\n250-mx.test\r\n250 AUTH PLAIN\r\n"))])]).await;
    let wiring = SmtpWiring { tls: SmtpTls::Starttls, ca: Some(server.ca.clone()), ..server.wiring() };
    assert_eq!(words(&outcomes(&smtp(&wiring), vec![job(0)], soon()).await), ["retry"]);
    assert_eq!(server.verbs(), "CONNECT EHLO STARTTLS");

    // As it should be, and with a certificate that nobody vouches for.
    let server = Server::start(vec![with(&[])]).await;
    let good = SmtpWiring { tls: SmtpTls::Starttls, ca: Some(server.ca.clone()), ..server.wiring() };
    assert_eq!(words(&outcomes(&smtp(&good), vec![job(0)], soon()).await), ["accepted"]);
    assert_eq!(server.verbs(), "CONNECT EHLO STARTTLS EHLO MAIL RCPT DATA DOT");
    let got = outcomes(&smtp(&SmtpWiring { ca: None, ..good }), vec![job(1)], soon()).await;
    assert!(matches!(&got[0], Outcome::Retry { reason, .. } if reason.contains("certificate")), "{got:?}");
    assert_eq!(server.bodies().len(), 1);
}

#[tokio::test]
async fn tls_from_the_first_byte_and_passwords() {
    let announce = vec!["PIPELINING", "AUTH LOGIN PLAIN"];
    let base = Script {
        announce: announce.clone(),
        tls: true,
        acts: vec![("AUTH", 1, Act::Say("235 2.7.0 ok\r\n"))],
        ..Script::default()
    };
    let account = |server: &Server| SmtpWiring {
        tls: SmtpTls::Tls,
        ca: Some(server.ca.clone()),
        username: Some("user".into()),
        password: Some(Secret("pass".into())),
        ..server.wiring()
    };
    let server = Server::start(vec![base.clone()]).await;
    assert_eq!(words(&outcomes(&smtp(&account(&server)), vec![job(0)], soon()).await), ["accepted"]);

    let server = Server::start(vec![Script { acts: vec![("AUTH", 1, Act::Say("535 5.7.8 no\r\n"))], ..base.clone() }]).await;
    let got = outcomes(&smtp(&account(&server)), vec![job(0)], soon()).await;
    assert!(
        matches!(&got[0], Outcome::ChannelDown { reason, .. } if reason.contains("535 5.7.8") && !reason.contains("pass word")),
        "{got:?}"
    );

    // LOGIN where PLAIN is not offered: user name, then password, each on its own line.
    let acts = vec![
        ("AUTH", 1, Act::Say("334 VXNlcm5hbWU6\r\n")),
        ("DXNLCG==", 1, Act::Say("334 UGFzc3dvcmQ6\r\n")),
        ("CGFZCW==", 1, Act::Say("235 ok\r\n")),
    ];
    let server = Server::start(vec![Script { announce: vec!["AUTH=LOGIN"], acts, ..base }]).await;
    assert_eq!(words(&outcomes(&smtp(&account(&server)), vec![job(0)], soon()).await), ["accepted"]);
    assert_eq!(server.verbs(), "CONNECT EHLO AUTH DXNLCG== CGFZCW== MAIL RCPT DATA DOT");
}

#[tokio::test]
async fn what_the_server_cannot_take_is_not_tried() {
    let server = Server::start(vec![Script { announce: vec!["SIZE 60"], ..Script::default() }]).await;
    let channel = smtp(&server.wiring());
    let mut big = job(0);
    big.message = Rendered::Email(EmailMessage {
        envelope_from: "a@y.test".into(),
        raw: format!("Subject: x\r\n\r\n{}", "y\r\n".repeat(40)),
    });
    let mut long = job(1);
    long.message =
        Rendered::Email(EmailMessage { envelope_from: "a@y.test".into(), raw: format!("Subject: x\r\n\r\n{}", "y".repeat(2000)) });
    let mut eight = job(2);
    eight.message = Rendered::Email(EmailMessage { envelope_from: "a@y.test".into(), raw: "Subject: x\r\n\r\nя".into() });
    let mut command = job(3);
    command.message =
        Rendered::Email(EmailMessage { envelope_from: "a@y.test>\r\nDATA".into(), raw: "Subject: x\r\n\r\ny".into() });
    assert_eq!(words(&outcomes(&channel, vec![big, long, eight, command], soon()).await), ["reject"; 4]);
    assert_eq!(server.verbs(), "CONNECT EHLO");
}
