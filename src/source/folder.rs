//! A folder of manifests on disk, read as `kubectl apply -R -f` reads it, and watched by its contents.

use super::{
    manifest::{self, Manifest},
    problem::Problem,
    yaml::{self, YamlError},
};
use crate::{compile::Severity, model::stable_hash};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// A manifest file may be this large, in bytes; the API server takes less.
const MAX_FILE: u64 = 8 << 20;
/// Folders below folders.
const MAX_DEPTH: usize = 32;

/// Why a folder cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{}: there is no such file or folder", .0.display())]
    Missing(PathBuf),
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
}

impl FolderError {
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing",
            Self::Unreadable { .. } => "unreadable",
        }
    }
}

/// What a reading found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// In the order of file names, then of documents.
    pub manifests: Vec<Manifest>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Files that were read, broken ones included.
    pub files: usize,
}

/// A folder, or one file. It remembers the last good reading of each file: a file that breaks keeps meaning what it meant, so that
/// a half-written edit never looks like a removal.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    kinds: Vec<String>,
    last_good: BTreeMap<PathBuf, Vec<Manifest>>,
    /// Digest of the last reading, and one that differed from it and must stand still once before it is read.
    seen: Option<u64>,
    pending: Option<u64>,
}

impl Folder {
    /// `kinds`: those of our group, as in `api::definitions()`.
    pub fn new(root: impl Into<PathBuf>, kinds: Vec<String>) -> Self {
        Self { root: root.into(), kinds, last_good: BTreeMap::new(), seen: None, pending: None }
    }

    /// Reads everything.
    pub fn load(&mut self) -> Result<Loaded, FolderError> {
        let contents = self.contents()?;
        self.seen = Some(digest(&contents));
        self.pending = None;
        let mut loaded = Loaded { files: contents.len(), ..Loaded::default() };
        self.last_good.retain(|path, _| contents.contains_key(path));
        for (path, bytes) in contents {
            let read = match bytes {
                Err(e) => Err(Box::new(whole_file(&path, "Unreadable", e))),
                Ok(bytes) => yaml::parse(&bytes).map_err(|e| Box::new(invalid(&path, e))),
            };
            match read {
                Ok(documents) => {
                    let mut manifests = Vec::new();
                    for document in documents {
                        manifest::read(&path, document, &self.kinds, &mut manifests, &mut loaded.problems);
                    }
                    loaded.manifests.extend(manifests.iter().cloned());
                    self.last_good.insert(path, manifests);
                }
                Err(problem) => {
                    loaded.problems.push(*problem);
                    loaded.manifests.extend(self.last_good.get(&path).into_iter().flatten().cloned());
                }
            }
        }
        Ok(loaded)
    }

    /// A new reading if the contents changed since the last one and have stood still since the previous call. Meant to be called a
    /// few times a second.
    pub fn poll(&mut self) -> Result<Option<Loaded>, FolderError> {
        let now = digest(&self.contents()?);
        if Some(now) == self.seen {
            self.pending = None;
            return Ok(None);
        }
        if self.pending.replace(now) == Some(now) { self.load().map(Some) } else { Ok(None) }
    }

    fn contents(&self) -> Result<BTreeMap<PathBuf, Result<Vec<u8>, String>>, FolderError> {
        let unreadable = |source| FolderError::Unreadable { path: self.root.clone(), source };
        let metadata = match fs::metadata(&self.root) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(FolderError::Missing(self.root.clone())),
            other => other.map_err(unreadable)?,
        };
        let mut contents = BTreeMap::new();
        if metadata.is_dir() {
            walk(&self.root, 0, &mut contents).map_err(unreadable)?;
        } else {
            contents.insert(self.root.clone(), read_file(&self.root));
        }
        Ok(contents)
    }
}

/// Manifests of a text that stands in no file, like standard input; relative paths in it are relative to `base`.
pub fn load_text(name: &Path, bytes: &[u8], kinds: &[String]) -> Loaded {
    let mut loaded = Loaded { files: 1, ..Loaded::default() };
    match yaml::parse(bytes) {
        Ok(documents) => {
            for document in documents {
                manifest::read(name, document, kinds, &mut loaded.manifests, &mut loaded.problems);
            }
        }
        Err(e) => loaded.problems.push(invalid(name, e)),
    }
    loaded
}

fn invalid(path: &Path, error: YamlError) -> Problem {
    Problem { position: Some(error.at), help: error.help, ..whole_file(path, "YamlInvalid", error.message) }
}

fn whole_file(path: &Path, reason: &str, message: String) -> Problem {
    Problem {
        file: Some(path.to_owned()),
        position: None,
        object: None,
        path: String::new(),
        reason: reason.to_owned(),
        message,
        help: String::new(),
        severity: Severity::Error,
    }
}

/// Hidden entries are skipped, links to folders too (a mounted `ConfigMap` has both), links to files are followed.
fn walk(folder: &Path, depth: usize, contents: &mut BTreeMap<PathBuf, Result<Vec<u8>, String>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if depth < MAX_DEPTH {
                // A folder that vanishes or is closed to us does not hide the others.
                if let Err(e) = walk(&path, depth + 1, contents) {
                    contents.insert(path, Err(e.to_string()));
                }
            }
        } else if is_manifest(&path) && (kind.is_file() || fs::metadata(&path).is_ok_and(|m| m.is_file())) {
            let bytes = read_file(&path);
            contents.insert(path, bytes);
        }
    }
    Ok(())
}

fn is_manifest(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| matches!(e, "yaml" | "yml" | "json"))
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let length = fs::metadata(path).map_err(|e| e.to_string())?.len();
    if length > MAX_FILE {
        return Err(format!("the file has {length} bytes, more than {MAX_FILE}: it is not read"));
    }
    fs::read(path).map_err(|e| e.to_string())
}

fn digest(contents: &BTreeMap<PathBuf, Result<Vec<u8>, String>>) -> u64 {
    let mut whole = Vec::with_capacity(contents.len() * 8);
    for (path, bytes) in contents {
        let (readable, bytes): (&[u8], &[u8]) = match bytes {
            Ok(bytes) => (b"ok", bytes),
            Err(e) => (b"error", e.as_bytes()),
        };
        whole.extend(stable_hash(&[path.as_os_str().as_encoded_bytes(), readable, bytes]).to_be_bytes());
    }
    stable_hash(&[&whole])
}

#[cfg(test)]
mod tests {
    use super::{Folder, FolderError, Loaded};
    use std::{fs, path::Path};

    fn folder(root: &Path) -> Folder {
        Folder::new(root, vec!["ContentList".into(), "ReactivationFunnel".into()])
    }

    fn names(loaded: &Loaded) -> Vec<String> {
        loaded.manifests.iter().map(|m| format!("{}/{}/{}", m.object.namespace, m.object.kind, m.object.name)).collect()
    }

    fn list(name: &str) -> String {
        format!("apiVersion: rekindle.dev/v1alpha1\nkind: ContentList\nmetadata: {{name: {name}}}\n")
    }

    #[test]
    fn reads_what_kubectl_would_and_says_what_it_leaves_aside() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("sub/.git")).unwrap();
        fs::write(root.join("a.yaml"), list("one") + "---\n" + &list("two")).unwrap();
        fs::write(
            root.join("sub/b.yml"),
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: s, namespace: x}\n",
        )
        .unwrap();
        fs::write(root.join("sub/c.json"), "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"c\"}}")
            .unwrap();
        fs::write(root.join("sub/.git/x.yaml"), "broken: [").unwrap();
        fs::write(root.join("deals.csv"), "a,b\n").unwrap();
        fs::write(root.join("z.yaml"), "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n---\nreplicas: 3\n---\nkind: ContentList\n---\napiVersion: rekindle.dev/v1\nkind: ContentList\nmetadata: {name: v}\n---\napiVersion: rekindle.dev/v1alpha1\nkind: ContentLst\n---\napiVersion: rekindle.dev/v1alpha1\nkind: ContentList\n").unwrap();
        let loaded = folder(root).load().unwrap();
        assert_eq!(names(&loaded), ["default/ContentList/one", "default/ContentList/two", "x/Secret/s", "default/ConfigMap/c"]);
        let said: Vec<String> = loaded.problems.iter().map(|p| p.to_string().replace(&root.display().to_string(), "")).collect();
        for (said, words) in said.iter().zip([
            "/z.yaml:2: warning: Deployment (apps/v1) is not used",
            "/z.yaml:5: warning: this is not a Kubernetes manifest",
            "/z.yaml:7: apiVersion: apiVersion is missing; write apiVersion: rekindle.dev/v1alpha1",
            "/z.yaml:9: apiVersion: \"rekindle.dev/v1\" is no version of ContentList",
            "/z.yaml:14: kind: there is no kind \"ContentLst\" in rekindle.dev; did you mean ContentList?",
            "/z.yaml:16: metadata.name: the name is missing",
        ]) {
            assert!(said.starts_with(words), "{said}");
        }
        assert_eq!(said.len(), 6);
    }

    #[test]
    fn a_broken_edit_keeps_the_last_good_reading_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yaml");
        fs::write(&file, list("one")).unwrap();
        let mut folder = folder(dir.path());
        assert_eq!(names(&folder.load().unwrap()), ["default/ContentList/one"]);
        assert!(folder.poll().unwrap().is_none());

        fs::write(&file, list("two") + "spec: [").unwrap();
        assert!(folder.poll().unwrap().is_none(), "a change must stand still once");
        let broken = folder.poll().unwrap().unwrap();
        assert_eq!((names(&broken), broken.problems.len()), (vec!["default/ContentList/one".to_owned()], 1));
        assert!(folder.poll().unwrap().is_none());

        fs::write(&file, list("two")).unwrap();
        assert!(folder.poll().unwrap().is_none());
        fs::write(dir.path().join("b.yaml"), list("three")).unwrap();
        assert!(folder.poll().unwrap().is_none(), "still changing");
        assert_eq!(names(&folder.poll().unwrap().unwrap()), ["default/ContentList/two", "default/ContentList/three"]);

        fs::remove_file(&file).unwrap();
        folder.poll().unwrap();
        assert_eq!(names(&folder.poll().unwrap().unwrap()), ["default/ContentList/three"]);
    }

    #[test]
    fn a_missing_folder_is_said() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(folder(&dir.path().join("nothing")).load(), Err(FolderError::Missing(_))));
    }
}
