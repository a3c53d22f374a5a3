//! The SMS gateway's side of a conversation: one JSON document for each message, over HTTP/1.1 connections that stay open.

use super::sinks::Desk;
use std::{
    io::{BufRead, BufReader, Read as _, Write},
    net::TcpStream,
    time::Duration,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Misdeed {
    /// 429.
    TooFast,
    /// 422.
    Never,
    /// 500, and it has it.
    FailAccepted,
    /// 500, and it does not.
    FailRefused,
    /// Accepts, and answers when nobody waits any more.
    Late,
    /// Accepts, and the answer is lost.
    LoseAnswer,
    /// Does not accept, and says nothing.
    Nothing,
    Slow,
}

const TABLE: [(Misdeed, &str, u64); 8] = [
    (Misdeed::TooFast, "429", 30),
    (Misdeed::Never, "422", 10),
    (Misdeed::FailAccepted, "accepted,-500", 15),
    (Misdeed::FailRefused, "not-accepted,-500", 10),
    (Misdeed::Late, "accepted,-answered-too-late", 10),
    (Misdeed::LoseAnswer, "accepted,-answer-lost", 15),
    (Misdeed::Nothing, "not-accepted,-nothing-said", 10),
    (Misdeed::Slow, "slow", 15),
];

const MEDIUM: &str = "Sms";
/// Longer than the manifest waits.
const TOO_LONG: Duration = Duration::from_millis(6500);

pub fn serve(stream: TcpStream, desk: &Desk) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut write = stream.try_clone().ok()?;
    let mut read = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if read.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        read.read_exact(&mut body).ok()?;
        let json: serde_json::Value = serde_json::from_slice(&body).ok()?;
        let (to, key) = (json["to"].as_str()?, json["id"].as_str()?);
        desk.text(MEDIUM, to, key, json["text"].as_str()?);
        let (status, accepted) = match desk.misdeed(MEDIUM, to, &TABLE) {
            Some(Misdeed::TooFast) => {
                desk.refused(MEDIUM, to);
                ("429 Too Many Requests\r\nretry-after: 1", None)
            }
            Some(Misdeed::Never) => {
                desk.refused(MEDIUM, to);
                ("422 Unprocessable Content", None)
            }
            Some(Misdeed::FailRefused) => {
                desk.doubt(MEDIUM, to, key);
                ("500 Internal Server Error", None)
            }
            Some(Misdeed::FailAccepted) => {
                desk.doubt(MEDIUM, to, key);
                ("500 Internal Server Error", Some(desk.accept(MEDIUM, to, key)))
            }
            Some(Misdeed::Nothing) => {
                desk.doubt(MEDIUM, to, key);
                return None;
            }
            Some(Misdeed::LoseAnswer) => {
                desk.doubt(MEDIUM, to, key);
                let accepted = desk.accept(MEDIUM, to, key);
                desk.think(MEDIUM);
                drop(accepted);
                return None;
            }
            Some(Misdeed::Late) => {
                desk.doubt(MEDIUM, to, key);
                let accepted = desk.accept(MEDIUM, to, key);
                std::thread::sleep(TOO_LONG);
                ("200 OK", Some(accepted))
            }
            Some(Misdeed::Slow) => {
                let accepted = desk.accept(MEDIUM, to, key);
                std::thread::sleep(Duration::from_secs(1));
                ("200 OK", Some(accepted))
            }
            None => ("200 OK", Some(desk.accept(MEDIUM, to, key))),
        };
        desk.think(MEDIUM);
        let answer = format!("{{\"id\":\"{key}\"}}");
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", answer.len());
        let done = write.write_all(format!("{head}{answer}").as_bytes());
        drop(accepted);
        done.ok()?;
    }
}
