//! Replies of an SMTP server (RFC 5321 §4.2, RFC 2034), read from any split of bytes, within bounds.

use std::fmt;

const MAX_LINES: usize = 512;
const MAX_BYTES: usize = 64 * 1024;

/// `class.subject.detail` of RFC 3463.
pub(super) type Enhanced = (u16, u16, u16);

/// One complete reply. Its text may quote the recipient: `Debug` shows codes only.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// 200–599. Of a multi-line reply, the last line's.
    pub(super) code: u16,
    pub(super) enhanced: Option<Enhanced>,
    /// Text of each line, without codes.
    pub(super) lines: Vec<String>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.codes())
    }
}

impl Reply {
    /// 2: done, 3: go on, 4: not now, 5: no.
    pub(super) const fn class(&self) -> u16 {
        self.code / 100
    }

    /// `550 5.1.1`: what may be shown.
    pub(super) fn codes(&self) -> String {
        match self.enhanced {
            Some((class, subject, detail)) => format!("{} {class}.{subject}.{detail}", self.code),
            None => self.code.to_string(),
        }
    }
}

/// Not SMTP, or more of it than anyone needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReplyError {
    #[error("the server's answer is not SMTP")]
    Nonsense,
    #[error("the server's answer is longer than 512 lines or 64 KiB")]
    TooLong,
}

/// Collects bytes and gives complete replies.
#[derive(Default)]
pub(super) struct ReplyReader {
    buffer: Vec<u8>,
    /// Start of the line under way.
    at: usize,
    /// No line end before this.
    scanned: usize,
    lines: Vec<String>,
    enhanced: Option<Enhanced>,
    bytes: usize,
}

impl ReplyReader {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
            self.scanned = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether bytes wait that belong to no reply given out yet.
    pub(super) fn has_leftover(&self) -> bool {
        self.at < self.buffer.len() || !self.lines.is_empty()
    }

    /// The next complete reply, or `None` when more bytes are needed.
    pub(super) fn next(&mut self) -> Result<Option<Reply>, ReplyError> {
        loop {
            let Some(end) = self.buffer.get(self.scanned..).and_then(|rest| rest.iter().position(|b| *b == b'\n')) else {
                self.scanned = self.buffer.len();
                let pending = self.buffer.len() - self.at;
                return if self.bytes + pending > MAX_BYTES { Err(ReplyError::TooLong) } else { Ok(None) };
            };
            let end = self.scanned + end;
            let line = self.buffer.get(self.at..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.bytes += line.len() + 2;
            if self.bytes > MAX_BYTES || self.lines.len() >= MAX_LINES {
                return Err(ReplyError::TooLong);
            }
            let (code, last, enhanced, text) = line_parts(line)?;
            if self.lines.is_empty() {
                self.enhanced = enhanced;
            }
            self.lines.push(text);
            self.at = end + 1;
            self.scanned = self.at;
            if last {
                self.bytes = 0;
                let reply = Reply { code, enhanced: self.enhanced.take(), lines: std::mem::take(&mut self.lines) };
                if self.at > 16 * 1024 {
                    self.buffer.drain(..self.at);
                    self.at = 0;
                    self.scanned = 0;
                }
                return Ok(Some(reply));
            }
        }
    }
}

fn line_parts(line: &[u8]) -> Result<(u16, bool, Option<Enhanced>, String), ReplyError> {
    let (code, rest) = line.split_at_checked(3).ok_or(ReplyError::Nonsense)?;
    let code = std::str::from_utf8(code)
        .ok()
        .filter(|c| c.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|c| c.parse::<u16>().ok())
        .filter(|c| (200..600).contains(c))
        .ok_or(ReplyError::Nonsense)?;
    let (last, text) = match rest.split_first() {
        None => (true, &[][..]),
        Some((b' ', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => return Err(ReplyError::Nonsense),
    };
    let text = String::from_utf8_lossy(text);
    let (first, after) = text.split_once(' ').unwrap_or((&text, ""));
    Ok(match enhanced(first) {
        // A status of another class than the code contradicts it; the code rules (RFC 2034 §4).
        Some(status) if status.0 == code / 100 => (code, last, Some(status), after.to_owned()),
        _ => (code, last, None, text.into_owned()),
    })
}

fn enhanced(word: &str) -> Option<Enhanced> {
    let mut numbers = word
        .split('.')
        .map(|n| if (1..=3).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()) { n.parse::<u16>().ok() } else { None });
    let (class, subject, detail) = (numbers.next()??, numbers.next()??, numbers.next()??);
    (numbers.next().is_none() && matches!(class, 2 | 4 | 5)).then_some((class, subject, detail))
}

#[cfg(test)]
mod tests {
    use super::{Reply, ReplyError, ReplyReader};
    use proptest::prelude::*;

    fn read(chunks: &[&[u8]]) -> Result<Vec<Reply>, ReplyError> {
        let mut reader = ReplyReader::default();
        let mut replies = Vec::new();
        for chunk in chunks {
            reader.feed(chunk);
            while let Some(reply) = reader.next()? {
                replies.push(reply);
            }
        }
        Ok(replies)
    }

    #[test]
    fn replies_as_servers_write_them() {
        let replies =
            read(&[b"250-mx.test\r\n250-SIZE 10\r\n250 PIPELINING\r\n550 5.1.1 <a@b.c>: unknown\r\n354\r\n250 2.0.0\n"]).unwrap();
        assert_eq!(replies.iter().map(Reply::codes).collect::<Vec<_>>(), ["250", "550 5.1.1", "354", "250 2.0.0"]);
        assert_eq!(replies[0].lines, ["mx.test", "SIZE 10", "PIPELINING"]);
        assert_eq!(replies[1].lines, ["<a@b.c>: unknown"]);
        assert!(!format!("{:?}", replies[1]).contains("a@b.c"));
        // A permanent code with a temporary status: the code rules, the status is dropped.
        assert_eq!(read(&[b"550 4.2.2 full\r\n"]).unwrap()[0].codes(), "550");
    }

    #[test]
    fn nonsense_and_floods_end_in_errors() {
        for bad in
            [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"\r\n", b"25\r\n", b"250+x\r\n", b"999 x\r\n", b"199 x\r\n", b"\xff\xfe\x00\n"]
        {
            assert_eq!(read(&[bad]), Err(ReplyError::Nonsense), "{bad:?}");
        }
        assert_eq!(read(&[&b"250-x\r\n".repeat(600)]), Err(ReplyError::TooLong));
        assert_eq!(read(&[&vec![b'2'; 70_000]]), Err(ReplyError::TooLong));
    }

    proptest! {
        #[test]
        fn every_split_reads_the_same(cuts in proptest::collection::vec(0_usize..200, 0..12)) {
            let stream = b"220-hello\r\n220 mx\r\n250-a\r\n250-b\r\n250 SIZE\r\n451 4.7.1 later\r\n354 go\r\n250 2.0.0 Ok: queued as 4C1\r\n".as_slice();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(stream.len())).collect();
            cuts.push(0);
            cuts.push(stream.len());
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &stream[w[0]..w[1]]).collect();
            prop_assert_eq!(read(&chunks).unwrap(), read(&[stream]).unwrap());
        }

        #[test]
        fn no_bytes_make_it_panic_or_hoard(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&[&bytes]);
        }
    }
}
