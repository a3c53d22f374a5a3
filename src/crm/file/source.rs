//! Where the bytes of a file come from: its stamp, its digest, and its text as UTF-8.

use crate::compile::FileSource;
use crate::crm::CrmError;
use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8};
use ring::digest;
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A file system's times are coarse: a file written this shortly before it was looked at may change without a new time.
const UNSETTLED: Duration = Duration::from_secs(1);

/// One of the declared files.
#[derive(Debug)]
pub(super) struct Input {
    /// For messages: the file's name without its folder.
    pub name: String,
    source: FileSource,
    /// Of inline bytes, which have no time: their digest.
    inline: Option<String>,
}

/// What `stat` tells of a file: enough to see, without reading it, that it did not change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Stamp {
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: u64,
    /// Inode and its change time, where the system has them: catches a file that was replaced or whose time was set back.
    pub changed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
    /// False: so fresh that a later change could carry the same times. It is looked at once more.
    pub settled: bool,
}

impl Stamp {
    /// The same file as far as `stat` can tell.
    pub fn same(&self, other: &Self) -> bool {
        (self.size, self.modified, &self.changed, &self.inline) == (other.size, other.modified, &other.changed, &other.inline)
    }
}

impl Input {
    pub fn new(source: &FileSource) -> Self {
        match source {
            FileSource::Path(path) => Self {
                name: path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned()),
                source: source.clone(),
                inline: None,
            },
            FileSource::Inline { name, bytes } => {
                Self { name: name.clone(), source: source.clone(), inline: Some(digest_of(bytes)) }
            }
        }
    }

    /// Looks at the file without reading it.
    pub fn stamp(&self) -> Result<Stamp, CrmError> {
        match &self.source {
            FileSource::Path(path) => {
                let meta = std::fs::metadata(path).map_err(|e| self.unavailable(e))?;
                if !meta.is_file() {
                    return Err(CrmError::Settings {
                        what: format!("{} is not a file", self.name),
                        help: "name the CSV or JSONL file itself".into(),
                    });
                }
                let modified = meta.modified().unwrap_or(UNIX_EPOCH);
                Ok(Stamp {
                    size: meta.len(),
                    modified: modified.duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)),
                    changed: changed(&meta),
                    inline: None,
                    settled: SystemTime::now().duration_since(modified).is_ok_and(|age| age > UNSETTLED),
                })
            }
            FileSource::Inline { bytes, .. } => {
                Ok(Stamp { size: bytes.len() as u64, inline: self.inline.clone(), settled: true, ..Stamp::default() })
            }
        }
    }

    /// When the file was written, if that is longer ago than `max`. Bytes of a `ConfigMap` have no time.
    pub fn outdated(&self, max: Duration) -> Result<Option<SystemTime>, CrmError> {
        let FileSource::Path(path) = &self.source else { return Ok(None) };
        let written = std::fs::metadata(path).and_then(|meta| meta.modified()).map_err(|e| self.unavailable(e))?;
        Ok(SystemTime::now().duration_since(written).is_ok_and(|age| age > max).then_some(written))
    }

    /// SHA-256 of the bytes.
    pub fn digest(&self) -> Result<String, CrmError> {
        if let Some(known) = &self.inline {
            return Ok(known.clone());
        }
        let mut raw = self.raw()?;
        let mut ctx = digest::Context::new(&digest::SHA256);
        let mut buffer = vec![0_u8; 128 * 1024];
        loop {
            match raw.read(&mut buffer) {
                Ok(0) => return Ok(hex(ctx.finish().as_ref())),
                Ok(n) => ctx.update(buffer.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.unavailable(e)),
            }
        }
    }

    /// The text as UTF-8, without its byte order mark. A byte order mark wins over `encoding`. Bytes that are not UTF-8 in a
    /// UTF-8 file are passed on as they are, so that only their row suffers; in other encodings they become U+FFFD.
    pub fn open(&self, encoding: &'static Encoding) -> Result<Text, CrmError> {
        let mut reader = BufReader::with_capacity(64 * 1024, self.raw()?);
        let head = reader.fill_buf().map_err(|e| self.unavailable(e))?;
        let (encoding, mark) = Encoding::for_bom(head).unwrap_or((encoding, 0));
        reader.consume(mark);
        Ok(if encoding == UTF_8 {
            Text { reader: Box::new(reader), decoded: false }
        } else {
            let decoding = Decoding {
                inner: reader,
                decoder: encoding.new_decoder_without_bom_handling(),
                out: vec![0; 64 * 1024],
                from: 0,
                to: 0,
                done: false,
            };
            Text { reader: Box::new(BufReader::new(decoding)), decoded: true }
        })
    }

    fn raw(&self) -> Result<Box<dyn Read + Send>, CrmError> {
        Ok(match &self.source {
            FileSource::Path(path) => Box::new(File::open(path).map_err(|e| self.unavailable(e))?),
            FileSource::Inline { bytes, .. } => Box::new(Cursor::new(Shared(Arc::clone(bytes)))),
        })
    }

    pub fn unavailable(&self, error: io::Error) -> CrmError {
        CrmError::Unavailable { what: format!("{} cannot be read: {}", self.name, error.kind()), source: Some(Box::new(error)) }
    }
}

/// A file's text.
pub(super) struct Text {
    pub reader: Box<dyn BufRead + Send>,
    /// It came through a decoder: U+FFFD in it means that bytes were wrong.
    pub decoded: bool,
}

struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Turns another encoding into UTF-8 while it is read.
struct Decoding<R> {
    inner: R,
    decoder: Decoder,
    out: Vec<u8>,
    from: usize,
    to: usize,
    done: bool,
}

impl<R: BufRead> Read for Decoding<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        while self.from == self.to && !self.done {
            let input = self.inner.fill_buf()?;
            let last = input.is_empty();
            let (result, read, written, _) = self.decoder.decode_to_utf8(input, &mut self.out, last);
            self.inner.consume(read);
            (self.from, self.to) = (0, written);
            self.done = last && result == CoderResult::InputEmpty;
        }
        let ready = self.out.get(self.from..self.to).unwrap_or_default();
        let n = ready.len().min(target.len());
        if let (Some(to), Some(from)) = (target.get_mut(..n), ready.get(..n)) {
            to.copy_from_slice(from);
        }
        self.from += n;
        Ok(n)
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

#[cfg(unix)]
fn changed(meta: &std::fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!("{}:{}.{:09}", meta.ino(), meta.ctime(), meta.ctime_nsec())
}

#[cfg(not(unix))]
fn changed(_: &std::fs::Metadata) -> String {
    String::new()
}
