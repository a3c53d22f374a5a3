//! The mail relay's side of a conversation.

use super::sinks::Desk;
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Misdeed {
    /// 421 to MAIL.
    Closing,
    /// 452 to RCPT.
    NotNow,
    /// Hangs up in the middle of the content.
    HangUp,
    /// 451 after the dot.
    Later,
    /// 554 after the dot.
    Never,
    /// Accepts, and the reply is lost.
    LoseReply,
    /// Accepts, and says 421.
    AcceptClosing,
    /// Does not accept, and says nothing.
    Nothing,
    Slow,
}

const TABLE: [(Misdeed, &str, u64); 9] = [
    (Misdeed::Closing, "421-to-MAIL", 10),
    (Misdeed::NotNow, "452-to-RCPT", 20),
    (Misdeed::HangUp, "hung-up-within-DATA", 10),
    (Misdeed::Later, "451-after-the-dot", 25),
    (Misdeed::Never, "554-after-the-dot", 10),
    (Misdeed::LoseReply, "accepted,-reply-lost", 15),
    (Misdeed::AcceptClosing, "accepted,-421", 10),
    (Misdeed::Nothing, "not-accepted,-nothing-said", 10),
    (Misdeed::Slow, "slow", 15),
];

const MEDIUM: &str = "Email";

pub fn serve(stream: TcpStream, desk: &Desk) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut write = stream.try_clone().ok()?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    let (mut to, mut misdeed) = (String::new(), None);
    write.write_all(b"220 sink ESMTP\r\n").ok()?;
    loop {
        line.clear();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let upper = line.trim_end().to_ascii_uppercase();
        let answer: &[u8] = if upper.starts_with("EHLO") {
            b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
        } else if upper.starts_with("MAIL") {
            to.clear();
            b"250 2.1.0 ok\r\n"
        } else if upper.starts_with("RCPT") {
            let address =
                line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(address, _)| address.to_lowercase());
            to = address?;
            misdeed = desk.misdeed(MEDIUM, &to, &TABLE);
            match misdeed {
                Some(Misdeed::Closing) => {
                    desk.refused(MEDIUM, &to);
                    let _ = write.write_all(b"421 4.3.2 closing\r\n");
                    return None;
                }
                Some(Misdeed::NotNow) => {
                    desk.refused(MEDIUM, &to);
                    b"452 4.2.2 not now\r\n"
                }
                _ => b"250 2.1.5 ok\r\n",
            }
        } else if upper == "DATA" && misdeed == Some(Misdeed::NotNow) {
            b"554 5.5.1 nobody to give it to\r\n"
        } else if upper == "DATA" {
            write.write_all(b"354 go\r\n").ok()?;
            content(&mut lines, &mut write, desk, &to, misdeed)?
        } else if upper == "QUIT" {
            let _ = write.write_all(b"221 bye\r\n");
            return None;
        } else {
            b"250 ok\r\n"
        };
        write.write_all(answer).ok()?;
    }
}

/// Reads the content and judges it. `None`: the connection ends.
fn content(
    lines: &mut BufReader<TcpStream>,
    write: &mut TcpStream,
    desk: &Desk,
    to: &str,
    misdeed: Option<Misdeed>,
) -> Option<&'static [u8]> {
    let (mut line, mut key, mut text) = (String::new(), String::new(), String::new());
    loop {
        line.clear();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == ".\r\n" {
            break;
        }
        text.push_str(&line);
        if line.to_ascii_lowercase().starts_with("message-id:") && key.is_empty() {
            line[11..].trim().clone_into(&mut key);
            if misdeed == Some(Misdeed::HangUp) {
                // The sender may have written all of it by now, and then cannot tell.
                desk.doubt(MEDIUM, to, &key);
                return None;
            }
        }
    }
    desk.text(MEDIUM, to, &key, &text);
    match misdeed {
        Some(Misdeed::Later) => {
            desk.refused(MEDIUM, to);
            Some(b"451 4.3.0 later\r\n")
        }
        Some(Misdeed::Never) => {
            desk.refused(MEDIUM, to);
            Some(b"554 5.6.0 never\r\n")
        }
        Some(Misdeed::Nothing) => {
            desk.doubt(MEDIUM, to, &key);
            None
        }
        Some(Misdeed::LoseReply | Misdeed::AcceptClosing) => {
            desk.doubt(MEDIUM, to, &key);
            let accepted = desk.accept(MEDIUM, to, &key);
            desk.think(MEDIUM);
            if misdeed == Some(Misdeed::AcceptClosing) {
                let _ = write.write_all(b"421 4.3.2 closing\r\n");
            }
            drop(accepted);
            None
        }
        _ => {
            let accepted = desk.accept(MEDIUM, to, &key);
            desk.think(MEDIUM);
            if misdeed == Some(Misdeed::Slow) {
                std::thread::sleep(Duration::from_millis(1500));
            }
            // Whoever was killed meanwhile never reads it: still answered, because the wire took it.
            let done = write.write_all(b"250 2.0.0 queued\r\n");
            drop(accepted);
            done.ok()?;
            Some(b"")
        }
    }
}
