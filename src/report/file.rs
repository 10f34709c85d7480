//! The report of a hunt as a JSON file: rewritten whole, so that whoever reads it at any time finds a valid one.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::hunt::Report;

/// How often the file is rewritten while the hunt goes on.
const EVERY: Duration = Duration::from_secs(2);

/// A report's file.
pub struct ReportFile {
    path: PathBuf,
    /// A pipe or a device: it is written once, at the end.
    is_stream: bool,
    written: Option<Instant>,
}

impl ReportFile {
    /// A report at this path. Nothing is written yet.
    pub fn new(path: &Path) -> Self {
        // Replacing a link would leave the file that it names as it was.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is_stream = fs::metadata(&path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir());
        Self { path, is_stream, written: None }
    }

    /// The hunt goes on: rewrites the file if it has been a while. The first time it always does: a path that cannot be
    /// written is better known at once than in an hour.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn update(&mut self, report: impl FnOnce() -> Report) -> io::Result<()> {
        let is_due = self.written.is_none_or(|written| written.elapsed() >= EVERY);
        if self.is_stream || !is_due {
            return Ok(());
        }
        self.replace(&report())
    }

    /// The hunt is over: writes its report.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self, report: &Report) -> io::Result<()> {
        if !self.is_stream {
            return self.replace(report);
        }
        fs::OpenOptions::new().write(true).open(&self.path)?.write_all(&json(report)?)
    }

    fn replace(&mut self, report: &Report) -> io::Result<()> {
        let mut name = OsString::from(".");
        name.push(self.path.file_name().ok_or_else(|| io::Error::other("this is no file name"))?);
        name.push(format!(".{}", std::process::id()));
        let beside = self.path.with_file_name(name);
        let written = fs::write(&beside, json(report)?).and_then(|()| fs::rename(&beside, &self.path));
        if written.is_err() {
            // What is half written is of no use; that it cannot be removed either is not the error to tell.
            let _ = fs::remove_file(&beside);
        }
        self.written = Some(Instant::now());
        written
    }
}

fn json(report: &Report) -> io::Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(report)?;
    json.push(b'\n');
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hunt::testing::report;

    /// A folder of a test's own, which is gone after it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("grantsim-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn seeds(path: &Path) -> u64 {
        let json: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        json["seeds"].as_u64().unwrap()
    }

    #[test]
    fn the_file_is_a_valid_report_from_the_first_update_on_and_alone_in_its_folder() {
        let folder = Folder::new("report");
        let path = folder.0.join("report.json");
        let mut file = ReportFile::new(&path);
        file.update(report).unwrap();
        assert_eq!(seeds(&path), 1);
        file.update(|| panic!("a report is written every few seconds, not after every seed")).unwrap();
        file.finish(&Report { seeds: 2, ..report() }).unwrap();
        assert_eq!(seeds(&path), 2);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_refused_at_the_first_update() {
        let folder = Folder::new("no-report");
        assert!(ReportFile::new(&folder.0.join("no/such/folder.json")).update(report).is_err());
        assert!(ReportFile::new(&folder.0).update(report).is_err(), "a folder is no file");
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
