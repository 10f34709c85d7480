//! The folder of failures: the shrunk plans of a hunt, a file a fingerprint. Nothing that is there is ever changed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::file::replace;
use crate::{
    hunt::{Found, Hunt, Smaller},
    library::Library,
    plan::file::PlanFile,
    property::Fingerprint,
    shrink::Shrunk,
    types::digest::sha256_hex,
};

/// So many different plans of one fingerprint are kept in a folder.
const MOST: usize = 1_000;
/// A file's name has at most 255 bytes on most systems; the number and `.json` need some.
const LONGEST_NAME: usize = 200;

/// A folder of plans that show violations.
pub struct Failures {
    folder: PathBuf,
}

impl Failures {
    /// The folder at this path. It is made when the first plan is kept.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Writes a plan under the name of its fingerprint, and says where. A file that is there already is left as it is: where
    /// it says the same nothing is written, and where it says something else the name gets a number.
    ///
    /// # Errors
    /// The plan cannot be written, or there are a thousand others.
    pub fn keep(&self, fingerprint: &Fingerprint, plan: &PlanFile) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.folder)?;
        let text = plan.to_json();
        for nth in 1..=MOST {
            let number = if nth == 1 { String::new() } else { format!("-{nth}") };
            let path = self.folder.join(format!("{}{number}.json", slug(fingerprint)));
            match fs::read(&path) {
                Ok(there) if there == text.as_bytes() => return Ok(path),
                // Whatever it is, it is not ours.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return replace(&path, text.as_bytes()).map(|()| path);
                }
                Err(_) if path.exists() => {}
                Err(error) => return Err(error),
            }
        }
        let folder = self.folder.display();
        Err(io::Error::other(format!(
            "there are {MOST} other plans of {fingerprint} in {folder}: remove some"
        )))
    }

    /// Writes the plan that a violation of a hunt was shrunk to.
    ///
    /// # Errors
    /// As [`keep`](Self::keep).
    pub fn keep_shrunk(&self, hunt: &Hunt, found: &Found, shrunk: Shrunk) -> io::Result<Smaller> {
        let fingerprint = &found.violation.fingerprint;
        let about = format!("Shows {fingerprint}. Shrunk from {}.", found.token);
        let file = PlanFile { about, library: Some(hunt.subject.reference()), plan: shrunk.plan };
        let path = self.keep(fingerprint, &file)?;
        let size = shrunk.after;
        Ok(Smaller {
            plan: path.display().to_string(),
            executions: size.executions,
            workers: size.workers,
            schedulers: size.schedulers,
            faults: size.faults,
            clocks: size.clocks,
            deeds: size.deeds,
            events: size.events,
            minimal: shrunk.minimal,
            runs: shrunk.runs,
        })
    }

    /// Writes a library's text, under a name that says which text it is, and says where.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep_library(&self, library: &Library) -> io::Result<PathBuf> {
        let text = library.source().as_bytes();
        let path = self.folder.join(format!("{}-{:.12}.lua", plain(library.name()), library.sha256()));
        if !fs::read(&path).is_ok_and(|there| there == text) {
            fs::create_dir_all(&self.folder)?;
            replace(&path, text)?;
        }
        Ok(path)
    }
}

/// A text as a file's name on every system.
fn plain(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.chars().map(|c| if is_plain(c) { c } else { '-' }).take(LONGEST_NAME).collect()
}

/// A fingerprint as a file's name on every system, and no other one's. What a library answers can be any text.
pub(super) fn slug(fingerprint: &Fingerprint) -> String {
    let text = fingerprint.to_string();
    let parts: Vec<&str> = text.split('/').filter(|part| *part != "-").collect();
    let name = parts.join(".");
    let plain = plain(&name);
    if plain == name { plain } else { format!("{plain}-{:.8}", sha256_hex(text.as_bytes())) }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Folder, *};
    use crate::plan::token::Token;

    fn plan(seed: u64) -> PlanFile {
        PlanFile { about: String::new(), library: None, plan: Token::new("calm", seed).unwrap().plan() }
    }

    #[test]
    fn a_plan_is_kept_under_its_fingerprint_and_what_is_there_is_never_changed() {
        let folder = Folder::new("failures");
        let failures = Failures::new(&folder.0.join("of/a/hunt"));
        let fingerprint: Fingerprint = "fence/ff_renew_lease/OK/stale-lease".parse().unwrap();
        let keep = |seed| failures.keep(&fingerprint, &plan(seed)).unwrap();
        let first = keep(1);
        assert!(first.ends_with("of/a/hunt/fence.ff_renew_lease.OK.stale-lease.json"), "{first:?}");
        assert_eq!(PlanFile::read(&first).unwrap(), plan(1));
        assert_eq!(keep(1), first, "the same plan is not written twice");
        let second = keep(2);
        assert!(second.ends_with("fence.ff_renew_lease.OK.stale-lease-2.json"), "{second:?}");
        assert_eq!((PlanFile::read(&first).unwrap(), PlanFile::read(&second).unwrap()), (plan(1), plan(2)));
        assert_eq!((keep(1), keep(2)), (first, second));
        assert_eq!(
            fs::read_dir(folder.0.join("of/a/hunt")).unwrap().count(),
            2,
            "nothing else is left there"
        );
    }

    #[test]
    fn what_a_library_answers_is_no_way_out_of_the_folder() {
        let json =
            format!("\"fence/ff_renew_lease/../../../no such code\\u0000{}/stale-lease\"", "x".repeat(300));
        let fingerprint: Fingerprint = serde_json::from_str(&json).unwrap();
        let name = slug(&fingerprint);
        assert!(
            name.starts_with("fence.ff_renew_lease..........no-such-code-xx") && name.len() == 209,
            "{name}"
        );
    }

    #[test]
    fn what_stands_in_the_way_is_passed_over_and_a_folder_that_cannot_be_is_an_error() {
        let folder = Folder::new("failures-in-the-way");
        let fingerprint: Fingerprint = "lane/-/-/core".parse().unwrap();
        fs::create_dir(folder.0.join("lane.core.json")).unwrap();
        fs::write(folder.0.join("lane.core-2.json"), "mine").unwrap();
        let kept = Failures::new(&folder.0).keep(&fingerprint, &plan(1)).unwrap();
        assert!(kept.ends_with("lane.core-3.json"), "{kept:?}");
        assert_eq!(fs::read_to_string(folder.0.join("lane.core-2.json")).unwrap(), "mine");
        let error = Failures::new(&folder.0.join("lane.core-2.json/no")).keep(&fingerprint, &plan(1));
        assert!(error.is_err());
    }
}
