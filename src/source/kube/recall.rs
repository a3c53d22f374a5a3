//! What was last seen, kept for a process that starts again in the same place while the API server is away: without addresses and
//! secrets it could send nothing. They stand in a folder of memory (in a pod: an `emptyDir` with `medium: Memory`, which lives as long as
//! the pod and never reaches a disk), readable by this user alone, as kubelet keeps the Secrets that it mounts.

use super::{Cluster, Reading};
use crate::compile::{Origin, Snapshot, SourceObject};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
    value: Value,
    /// Its paths lead into the mounted volume.
    files: bool,
}

/// The folder, and the one file in it.
pub(super) struct Recall(PathBuf);

impl Recall {
    pub const fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("resources.json")
    }

    fn keep(&self, snapshot: &Snapshot) -> io::Result<()> {
        let kept: Vec<Kept> = snapshot.objects.iter().map(Kept::from).collect();
        let fresh = self.0.join("resources.new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&serde_json::to_vec(&kept)?)?;
        fs::rename(fresh, self.file())
    }

    fn find(&self, volume_root: Option<&Path>) -> io::Result<Option<Snapshot>> {
        let text = match fs::read(self.file()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let kept: Vec<Kept> = serde_json::from_slice(&text)?;
        Ok(Some(Snapshot { objects: kept.into_iter().map(|kept| kept.into_object(volume_root)).collect() }))
    }
}

impl From<&SourceObject> for Kept {
    fn from(object: &SourceObject) -> Self {
        Self {
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            value: object.value.clone(),
            files: object.origin.is_some(),
        }
    }
}

impl Kept {
    fn into_object(self, volume_root: Option<&Path>) -> SourceObject {
        let root = volume_root.filter(|_| self.files);
        SourceObject {
            api_version: self.api_version,
            kind: self.kind,
            namespace: self.namespace,
            name: self.name,
            value: self.value,
            origin: root.map(|root| Origin { file: PathBuf::new(), base_dir: root.to_owned(), confined: true }),
        }
    }
}

impl Cluster {
    /// Keeps what was read, for [`recall`](Self::recall). Nothing, where no folder was given.
    pub fn remember(&self, reading: &Reading) {
        let Some(recall) = &self.recall else { return };
        let mut snapshot = reading.snapshot.clone();
        if !reading.unread.is_empty() {
            // Of what cannot be read now, the former reading is the last that is known.
            let former = recall.find(self.volume_root.as_deref()).ok().flatten().unwrap_or_default();
            snapshot.objects.extend(former.objects.into_iter().filter(|object| reading.unread.contains(&object.namespace)));
        }
        if let Err(error) = recall.keep(&snapshot) {
            // The next reading tries again; until then a restart without the API server would know less.
            tracing::warn!(kind = %error.kind(), "what was read cannot be kept in --cache-dir");
        }
    }

    /// What this process, or one before it in the same place, read last.
    #[must_use]
    pub fn recall(&self) -> Option<Snapshot> {
        let found = self.recall.as_ref()?.find(self.volume_root.as_deref());
        found.unwrap_or_else(|error| {
            tracing::warn!(kind = %error.kind(), "what was kept in --cache-dir cannot be read");
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Recall;
    use crate::compile::{Origin, Snapshot, SourceObject};
    use std::{os::unix::fs::PermissionsExt as _, path::Path};

    fn object(kind: &str, origin: Option<Origin>) -> SourceObject {
        SourceObject {
            api_version: "v1".into(),
            kind: kind.into(),
            namespace: "a".into(),
            name: "x".into(),
            value: serde_json::json!({"data": {"password": "aGlkZGVu"}}),
            origin,
        }
    }

    #[test]
    fn what_was_kept_comes_back_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let recall = Recall::new(dir.path().to_owned());
        assert!(recall.find(None).unwrap().is_none());
        let mounted = Origin { file: "".into(), base_dir: "/files".into(), confined: true };
        let snapshot = Snapshot { objects: vec![object("Secret", None), object("CrmConnection", Some(mounted))] };
        recall.keep(&snapshot).unwrap();
        recall.keep(&snapshot).unwrap();
        assert!(recall.find(Some(Path::new("/files"))).unwrap().unwrap().objects == snapshot.objects);
        let mode = recall.file().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(recall.file(), "[{").unwrap();
        assert!(recall.find(None).is_err());
    }
}
