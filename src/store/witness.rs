//! What a database cannot know by itself: that it was restored to an earlier state. A witness outside of it records how far its
//! count of hand-overs may have come, before any of them is made (design §6.8).

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// The newest block of hand-over numbers that was set aside. The database's own count lies within it; below `from`, it forgot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// The database's count when the block was set aside.
    pub from: i64,
    /// No number above it may be used without another block.
    pub to: i64,
}

/// What a witness answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// What stands there. `None`: no block was ever set aside.
    Block(Option<Reserved>),
    /// It cannot be asked now, and its place is not one that sending waits for.
    Away,
}

/// Why the witness could not be asked or told. Nothing is sent meanwhile.
#[derive(Debug, thiserror::Error)]
#[error("the witness {place} cannot be {what}: {source}")]
pub struct WitnessError {
    pub place: String,
    pub what: &'static str,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// A place outside the database that survives its restoration: a file beside SQLite, a `ConfigMap` in a cluster.
#[async_trait::async_trait]
pub trait Witness: fmt::Debug + Send + Sync {
    /// The newest block of the installation.
    async fn read(&self) -> Result<Said, WitnessError>;
    /// Puts `reserved` in the place of a block that begins no later. One that begins later stays: whoever wrote it worked after the
    /// caller, or the database went back. Must be durable when it returns, and answers what stands there then.
    async fn write(&self, reserved: Reserved) -> Result<Said, WitnessError>;
    /// How long one block should last at least. What a restored database forgot within one block is not noticed, so that it is
    /// short; but not every place bears to be written many times a second.
    fn pace(&self) -> Duration;
}

/// A small file, replaced as a whole.
#[derive(Clone, Debug)]
pub struct FileWitness {
    path: PathBuf,
}

impl FileWitness {
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file that stands beside a SQLite database, unless another is named. `None`: the store is no file.
    #[must_use]
    pub fn beside(store_url: &str) -> Option<Self> {
        let path = store_url.strip_prefix("sqlite:").filter(|path| !path.is_empty())?;
        let path = path.strip_prefix("//").filter(|p| p.starts_with('/')).unwrap_or(path);
        Some(Self::new(format!("{path}.witness")))
    }

    fn error(&self, what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WitnessError {
        WitnessError { place: self.path.display().to_string(), what, source: source.into() }
    }

    fn stands(&self) -> Result<Option<Reserved>, WitnessError> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error("read", error)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| self.error("understood", error))
    }

    fn put(&self, reserved: Reserved) -> Result<Said, WitnessError> {
        if let Some(later) = self.stands()?.filter(|stands| stands.from > reserved.from) {
            return Ok(Said::Block(Some(later)));
        }
        let text = serde_json::to_vec(&reserved).map_err(|error| self.error("written", error))?;
        replace(&self.path, &text).map_err(|error| self.error("written", error))?;
        Ok(Said::Block(Some(reserved)))
    }
}

#[async_trait::async_trait]
impl Witness for FileWitness {
    async fn read(&self) -> Result<Said, WitnessError> {
        self.stands().map(Said::Block)
    }

    async fn write(&self, reserved: Reserved) -> Result<Said, WitnessError> {
        let witness = self.clone();
        let put = tokio::task::spawn_blocking(move || witness.put(reserved)).await;
        put.unwrap_or_else(|error| Err(self.error("written", error)))
    }

    fn pace(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// Either the old content or the new one survives a crash at any moment.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::{FileWitness, Reserved, Said, Witness as _};

    #[tokio::test]
    async fn who_stood_still_while_another_sent_does_not_put_the_witness_back() {
        let folder = tempfile::tempdir().unwrap();
        let witness = FileWitness::new(folder.path().join("r.db.witness"));
        assert_eq!(witness.read().await.unwrap(), Said::Block(None));
        let block = |from, to| Reserved { from, to };
        // (what is written, what stands there then)
        for (written, stands) in [
            (block(1000, 1001), block(1000, 1001)),
            (block(1500, 1500), block(1500, 1500)),
            (block(1000, 1001), block(1500, 1500)),
            (block(1500, 1700), block(1500, 1700)),
            (block(1500, 1500), block(1500, 1500)),
        ] {
            assert_eq!(witness.write(written).await.unwrap(), Said::Block(Some(stands)), "{written:?}");
            assert_eq!(witness.read().await.unwrap(), Said::Block(Some(stands)), "{written:?}");
        }
    }

    #[tokio::test]
    async fn a_witness_file_that_cannot_be_understood_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.db.witness");
        std::fs::write(&path, "{\"from\": 10").unwrap();
        let witness = FileWitness::new(&path);
        let error = witness.write(Reserved { from: 3, to: 4 }).await.unwrap_err();
        assert_eq!(error.what, "understood");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"from\": 10");
    }
}
