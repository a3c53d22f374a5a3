//! Write-backs appended to a file, one JSON line each, on disk before they count as written.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// An open journal.
pub(super) struct Journal(File);

impl Journal {
    /// Opens or creates it. A last line that a crash left half-written is dropped: it was never acknowledged and comes again.
    /// A whole line without its end gets one.
    pub fn open(path: &Path) -> io::Result<Self> {
        let new = !path.exists();
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        file.lock()?;
        let repaired = repair(&mut file);
        file.unlock()?;
        repaired?;
        if new {
            // The name of a new file is on disk only when its folder is.
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder)?.sync_all()?;
        }
        Ok(Self(file))
    }

    /// Appends all lines and waits for the disk. On an error nothing of them stays.
    pub fn append(&mut self, lines: &[String]) -> io::Result<()> {
        self.0.lock()?;
        let result = self.append_locked(lines);
        self.0.unlock()?;
        result
    }

    fn append_locked(&mut self, lines: &[String]) -> io::Result<()> {
        let before = self.0.metadata()?.len();
        let mut text = lines.join("\n");
        text.push('\n');
        let result = self.0.write_all(text.as_bytes()).and_then(|()| self.0.sync_data());
        if result.is_err() {
            self.0.set_len(before)?;
        }
        result
    }
}

fn repair(file: &mut File) -> io::Result<()> {
    const STEP: u64 = 64 * 1024;
    let size = file.metadata()?.len();
    let mut tail = Vec::new();
    let mut from = size;
    // Back to the end of the last whole line.
    while from > 0 && !tail.contains(&b'\n') {
        let start = from.saturating_sub(STEP);
        let mut piece = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        (&mut *file).take(from - start).read_to_end(&mut piece)?;
        piece.extend_from_slice(&tail);
        tail = piece;
        from = start;
    }
    let rest = tail.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    if rest.is_empty() {
        return Ok(());
    }
    if serde_json::from_slice::<serde_json::Value>(rest).is_ok() {
        file.write_all(b"\n")?;
    } else if rest.starts_with(b"{") {
        file.set_len(size - rest.len() as u64)?;
    } else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a journal of ours"));
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::Journal;

    #[test]
    fn a_half_written_line_is_dropped_and_a_whole_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(200_000));
        for (before, after) in [
            ("", "{\"n\":1}\n".to_owned()),
            ("{\"a\":1}\n{\"b\":", "{\"a\":1}\n{\"n\":1}\n".to_owned()),
            ("{\"a\":1}\n{\"b\":2}", "{\"a\":1}\n{\"b\":2}\n{\"n\":1}\n".to_owned()),
            ("{\"b", "{\"n\":1}\n".to_owned()),
            (long.as_str(), format!("{long}\n{{\"n\":1}}\n")),
            (&long[..150_000], "{\"n\":1}\n".to_owned()),
        ] {
            std::fs::write(&path, before).unwrap();
            Journal::open(&path).unwrap().append(&["{\"n\":1}".into()]).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
    }

    #[test]
    fn a_file_that_is_no_journal_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "remember the milk").unwrap();
        assert!(Journal::open(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "remember the milk");
    }
}
