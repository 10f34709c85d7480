//! The report of a hunt as a JSON file: rewritten whole, so that whoever reads it at any time finds a valid one, and that
//! a hunt that is killed has lost nothing that it had found.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::hunt::Report;

/// How often the file is rewritten while the hunt goes on and nothing is new.
const EVERY: Duration = Duration::from_secs(2);
/// A long report takes long to write: so many times as long nothing is written after it, unless something is new.
const REST: u32 = 20;

/// A report's file.
pub struct ReportFile {
    path: PathBuf,
    /// A pipe or a device: it is written once, at the end.
    is_stream: bool,
    /// When the next one is due; at once when none was written.
    due: Option<Instant>,
    /// How much there was to tell the last time.
    told: usize,
}

impl ReportFile {
    /// A report at this path. Nothing is written yet.
    pub fn new(path: &Path) -> Self {
        // Replacing a link would leave the file that it names as it was.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is_stream = fs::metadata(&path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir());
        Self { path, is_stream, due: None, told: 0 }
    }

    /// The hunt goes on: rewrites the file if there is more to tell than the last time, or if it has been a while. The first
    /// time it always does: a path that cannot be written is better known at once than in an hour.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn update(&mut self, to_tell: usize, report: impl FnOnce() -> Report) -> io::Result<()> {
        let is_due = self.due.is_none_or(|due| Instant::now() >= due);
        if self.is_stream || !(is_due || to_tell > self.told) {
            return Ok(());
        }
        self.told = to_tell;
        let started = Instant::now();
        let written = replace(&self.path, &json(&report())?);
        self.due = Some(Instant::now() + EVERY.max(started.elapsed() * REST));
        written
    }

    /// The hunt is over: writes its report.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(&self, report: &Report) -> io::Result<()> {
        let json = json(report)?;
        if !self.is_stream {
            return replace(&self.path, &json);
        }
        fs::OpenOptions::new().write(true).open(&self.path)?.write_all(&json)
    }
}

/// Writes a file whole: whoever opens it finds the old text or the new one, and never a part.
///
/// # Errors
/// It cannot be written. The old text is still there then.
pub(super) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or_else(|| io::Error::other("this is no file name"))?);
    // Threads of one process may write the same file.
    name.push(format!(".{}.{:?}", std::process::id(), std::thread::current().id()));
    let beside = path.with_file_name(name);
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What is half written is of no use; that it cannot be removed either is not the error to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// A report as JSON.
pub(super) fn json(report: &Report) -> io::Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(report)?;
    json.push(b'\n');
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Folder, *};
    use crate::hunt::testing::report;

    fn seeds(path: &Path) -> u64 {
        let json: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        json["seeds"].as_u64().unwrap()
    }

    #[test]
    fn the_file_is_a_valid_report_from_the_first_update_on_and_alone_in_its_folder() {
        let folder = Folder::new("report");
        let path = folder.0.join("report.json");
        let mut file = ReportFile::new(&path);
        file.update(0, report).unwrap();
        assert_eq!(seeds(&path), 1);
        file.update(0, || panic!("a report is written every few seconds, not after every seed")).unwrap();
        file.update(1, || Report { seeds: 2, ..report() }).unwrap();
        assert_eq!(seeds(&path), 2, "what is new is written at once");
        file.update(1, || panic!("it is no longer new")).unwrap();
        file.finish(&Report { seeds: 3, ..report() }).unwrap();
        assert_eq!(seeds(&path), 3);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_refused_at_the_first_update() {
        let folder = Folder::new("no-report");
        assert!(ReportFile::new(&folder.0.join("no/such/folder.json")).update(0, report).is_err());
        assert!(ReportFile::new(&folder.0).update(0, report).is_err(), "a folder is no file");
    }

    #[cfg(unix)]
    #[test]
    fn what_a_link_names_is_written_and_the_link_stays() {
        let folder = Folder::new("linked-report");
        let (path, link) = (folder.0.join("report.json"), folder.0.join("link.json"));
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        ReportFile::new(&link).finish(&report()).unwrap();
        assert_eq!(seeds(&path), 1);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
