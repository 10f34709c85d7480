//! The report of a hunt as a folder: an index, a page for each new violation, and the report as JSON.
//!
//! Every file is written whole and atomically, the pages before the index that links to them: whoever opens the folder
//! while the hunt goes on, or after it was killed, finds what was found so far.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    Run,
    failures::slug,
    file::{json, replace},
    page::{
        self,
        index::{Link, index},
    },
};
use crate::{
    finding::Finding,
    hunt::{Again, Found, Hunt, Report, ShowError},
    property::Fingerprint,
};

/// How often the index and the JSON are rewritten while the hunt goes on.
const EVERY: Duration = Duration::from_secs(2);

/// Makes the line that replays a token.
type ReplayLine<'h> = Box<dyn Fn(&str) -> String + 'h>;

/// A report's folder.
pub struct ReportFolder<'h> {
    hunt: &'h Hunt,
    replay: ReplayLine<'h>,
    folder: PathBuf,
    /// The violations that have a page, and the token or the plan that it shows.
    pages: BTreeMap<Fingerprint, String>,
    /// The violations whose run could not be shown: their pages are not tried again.
    unshown: BTreeMap<Fingerprint, String>,
    seen: usize,
    written: Option<Instant>,
}

impl<'h> ReportFolder<'h> {
    /// A report of this hunt in this folder. Nothing is written yet. `replay` makes the line that replays a token.
    pub fn new(folder: &Path, hunt: &'h Hunt, replay: impl Fn(&str) -> String + 'h) -> Self {
        Self {
            hunt,
            replay: Box::new(replay),
            folder: folder.to_owned(),
            pages: BTreeMap::new(),
            unshown: BTreeMap::new(),
            seen: 0,
            written: None,
        }
    }

    /// The hunt goes on, and has found so many kinds of violation: rewrites the folder if there is a new one, or if it has
    /// been a while. The first time it always does: a folder that cannot be written is better known at once than in an
    /// hour.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn update(&mut self, violations: usize, report: impl FnOnce() -> Report) -> io::Result<()> {
        let is_due = self.written.is_none_or(|written| written.elapsed() >= EVERY);
        if !is_due && violations == self.seen {
            return Ok(());
        }
        self.seen = violations;
        self.write(&report(), true)
    }

    /// The hunt is over: writes its report.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn finish(&mut self, report: &Report) -> io::Result<()> {
        self.write(report, false)
    }

    fn write(&mut self, report: &Report, is_going_on: bool) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        for found in report.violations.iter().chain(&report.in_baseline) {
            self.write_page(found)?;
        }
        let link = |found: &Found| Link {
            replay: (self.replay)(found.smallest()),
            page: self
                .pages
                .get(&found.violation.fingerprint)
                .map(|_| file_name(&found.violation.fingerprint)),
        };
        replace(&self.folder.join("index.html"), index(report, is_going_on, &link).as_bytes())?;
        replace(&self.folder.join("report.json"), &json(report)?)?;
        self.written = Some(Instant::now());
        Ok(())
    }

    /// Writes a violation's page, unless it is there already. A lower seed that shows the same takes its place,
    /// and the plan that it is shrunk to.
    fn write_page(&mut self, found: &Found) -> io::Result<()> {
        let fingerprint = &found.violation.fingerprint;
        let is_done = |done: &BTreeMap<Fingerprint, String>| {
            done.get(fingerprint).map(String::as_str) == Some(found.smallest())
        };
        if is_done(&self.pages) || is_done(&self.unshown) {
            return Ok(());
        }
        let Ok(page) = self.page(found) else {
            // The index says so: it has the violation without a link.
            self.unshown.insert(fingerprint.clone(), found.smallest().to_owned());
            return Ok(());
        };
        replace(&self.folder.join(file_name(fingerprint)), page.as_bytes())?;
        self.pages.insert(fingerprint.clone(), found.smallest().to_owned());
        Ok(())
    }

    fn page(&self, found: &Found) -> Result<String, ShowError> {
        let Again { mut trace, plan, .. } = self.hunt.show_smallest(found)?;
        trace.header.token = found.shrunk.is_none().then(|| found.token.clone());
        let known = if self.hunt.strict { Vec::new() } else { Finding::of(&self.hunt.subject) };
        let run = Run {
            trace: &trace,
            plan: Some(&plan),
            properties: &self.hunt.properties,
            executions: &[],
            known: &known,
            replay: &(self.replay)(found.smallest()),
        };
        Ok(page::page_of_folder(&run, &found.violation.fingerprint))
    }
}

/// The file of a violation's page.
fn file_name(fingerprint: &Fingerprint) -> String {
    format!("{}.html", slug(fingerprint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drive::Subject,
        hunt::{Stop, Until},
        library::{Library, Mutant},
        plan::token::Token,
    };

    fn name(fingerprint: &str) -> String {
        file_name(&fingerprint.parse().expect("a fingerprint"))
    }

    #[test]
    fn a_fingerprint_makes_a_files_name() {
        assert_eq!(name("fence/ff_renew_lease/OK/stale-lease"), "fence.ff_renew_lease.OK.stale-lease.html");
        assert_eq!(name("lane/-/-/reclaim-grant"), "lane.reclaim-grant.html");
    }

    #[test]
    fn a_folder_has_an_index_a_page_for_each_violation_and_json_at_its_first_sight() {
        let mutant = Mutant::named("no-fence").expect("a mutant");
        let hunt = Hunt::new(
            Subject::new(Library::published().mutant(&mutant)).unwrap(),
            Token::new("crash", 0).unwrap(),
            Until::Seeds(12),
        );
        let path = std::env::temp_dir().join(format!("grantsim-folder-{}", std::process::id()));
        let names = || {
            let mut names: Vec<String> = fs::read_dir(&path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let mut folder = ReportFolder::new(&path, &hunt, |token| format!("replay {token}"));
        let report = hunt.run(&Stop::default(), |progress| {
            folder.update(progress.violations(), || progress.report()).unwrap();
        });
        assert!(!report.violations.is_empty(), "the mutant breaks nothing any more");
        let found = names();
        assert_eq!(found.len(), report.violations.len() + 2, "{found:?}");
        let index = fs::read_to_string(path.join("index.html")).unwrap();
        assert!(index.contains("\"is_going_on\":true"), "the hunt is not over");
        for broken in &report.violations {
            let file = file_name(&broken.violation.fingerprint);
            assert!(index.contains(&file), "{file}");
            let page = fs::read_to_string(path.join(&file)).unwrap();
            assert!(page.contains(&format!("replay {}", broken.token)), "{file}");
        }
        folder.finish(&report).unwrap();
        assert_eq!(names(), found);
        let index = fs::read_to_string(path.join("index.html")).unwrap();
        assert!(index.contains("\"is_going_on\":false"), "the hunt is over");
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_known_at_the_first_update() {
        let hunt = Hunt::new(
            Subject::new(Library::published()).unwrap(),
            Token::new("calm", 0).unwrap(),
            Until::Seeds(1),
        );
        let file = std::env::temp_dir().join(format!("grantsim-no-folder-{}", std::process::id()));
        fs::write(&file, "a file").unwrap();
        let mut folder = ReportFolder::new(&file, &hunt, str::to_owned);
        assert!(folder.update(0, crate::hunt::testing::report).is_err());
        fs::remove_file(&file).unwrap();
    }
}
