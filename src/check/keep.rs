//! What a check leaves behind for whoever reads its failure: the shrunk plans and the library, so that the line to copy
//! works in whatever state the sources are by then.

use std::{
    env,
    fmt::Display,
    path::{Path, PathBuf},
};

use crate::{
    hunt::{Found, Hunt, Smaller},
    library::Library,
    report::{self, Failures, quoted},
    shrink::Shrunk,
};

/// The folder's name, where no other is said.
const FOLDER: &str = "grantsim-failures";

/// The folder of what is kept, and the library that failed.
pub(super) struct Kept<'a> {
    folder: PathBuf,
    library: &'a Library,
}

impl<'a> Kept<'a> {
    pub(super) fn new(folder: Option<&Path>, library: &'a Library) -> Self {
        Self { folder: folder.map_or_else(usual_folder, Path::to_owned), library }
    }

    /// Writes the plan that a violation was shrunk to, or says why not.
    pub(super) fn keep(&self, hunt: &Hunt, found: &Found, shrunk: Shrunk) -> Result<Smaller, String> {
        let kept = Failures::new(&self.folder).keep_shrunk(hunt, found, shrunk);
        kept.map_err(|why| format!("its plan cannot be written to {}: {why}", self.folder.display()))
    }

    /// The violation for people.
    pub(super) fn tell(&self, hunt: &Hunt, found: &Found) -> String {
        let again = hunt.show_smallest(found).map_err(|why| why.to_string());
        report::violation(found, again.as_ref().map_err(|why| &**why), |what| self.replay(&what))
    }

    /// The line that shows a token or a plan again.
    pub(super) fn replay(&self, what: &impl Display) -> String {
        format!("grantsim replay {}{} --timeline", quoted(what), self.flags())
    }

    /// Which library the line is about. One that came from no file is written to one.
    fn flags(&self) -> String {
        if self.library.is_published() {
            return String::new();
        }
        let path = match self.library.file() {
            Some(path) => Ok(path.to_owned()),
            None => Failures::new(&self.folder).keep_library(self.library),
        };
        match path {
            Ok(path) => format!(" --library {}", quoted(&path.display())),
            Err(why) => {
                let why = format!("the library, which cannot be written to {}: {why}", self.folder.display());
                format!(" --library {}", quoted(&why))
            }
        }
    }
}

/// Where Cargo builds: a test's program is in `target/debug/deps`. A documentation test's is elsewhere.
fn usual_folder() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let deps = program.ancestors().find(|folder| folder.ends_with("deps"));
    let target = deps.and_then(|deps| deps.ancestors().nth(2));
    target.map_or_else(env::temp_dir, Path::to_owned).join(FOLDER)
}
