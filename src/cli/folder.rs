//! A folder of manifests as commands read it: what an API server would have stored, what is declared, what is wrong.

use crate::{
    compile::{Finding, Severity, Snapshot},
    model::FunnelKey,
    source::{Admission, Admitted, Folder, FolderError, Loaded, Problem},
};
use std::{collections::BTreeSet, path::Path};

/// Reads a folder again and again.
pub struct Reader {
    admission: Admission,
    folder: Folder,
}

/// One reading.
pub struct Reading {
    loaded: Loaded,
    admitted: Admitted,
}

impl Reader {
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let admission = Admission::of_this_version();
        let folder = Folder::new(root, admission.kinds());
        Self { admission, folder }
    }

    /// Everything, now.
    ///
    /// # Errors
    /// The folder itself cannot be read.
    pub fn read(&mut self) -> Result<Reading, FolderError> {
        let loaded = self.folder.load()?;
        Ok(Reading { admitted: self.admission.admit(&loaded), loaded })
    }

    /// Only if something changed since the last reading and stands still now.
    ///
    /// # Errors
    /// The folder itself cannot be read.
    pub fn changed(&mut self) -> Result<Option<Reading>, FolderError> {
        Ok(self.folder.poll()?.map(|loaded| Reading { admitted: self.admission.admit(&loaded), loaded }))
    }
}

impl Reading {
    #[must_use]
    pub const fn snapshot(&self) -> &Snapshot {
        &self.admitted.snapshot
    }

    /// Funnels that stand in the folder, refused ones too. `None` when a file could not be read at all and might declare more:
    /// then nothing counts as removed.
    #[must_use]
    pub fn declared(&self) -> Option<BTreeSet<FunnelKey>> {
        if self.loaded.problems.iter().any(|p| p.severity == Severity::Error) {
            return None;
        }
        let funnels = self.loaded.manifests.iter().filter(|m| m.object.kind == "ReactivationFunnel");
        Some(funnels.map(|m| FunnelKey { namespace: m.object.namespace.clone(), name: m.object.name.clone() }).collect())
    }

    /// Everything that is wrong, in the order of files and lines.
    #[must_use]
    pub fn problems(&self, findings: Vec<Finding>) -> Vec<Problem> {
        self.admitted.problems(findings, &self.loaded)
    }
}
