//! What a hunt writes for CI servers: JUnit XML, and GitHub's annotations and summary.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use grantsim::report::{Told, github, github_summary, junit};

use super::terminal::print;

#[derive(Args)]
pub(super) struct CiArgs {
    /// Write the result as JUnit XML: a test case a property.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print violations as annotations of a GitHub workflow. With a file, add a summary to it, too:
    /// --github="$GITHUB_STEP_SUMMARY".
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    github: Option<Option<PathBuf>>,
}

impl CiArgs {
    /// Whether the files can be written: that is better known at once than in an hour.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.junit.iter().chain(self.summary()).try_for_each(|path| append(path, ""))
    }

    /// Writes all that was asked for.
    pub(super) fn write(&self, told: &Told<'_>) -> anyhow::Result<()> {
        if let Some(path) = &self.junit {
            let xml = junit(told)?;
            fs::write(path, xml).with_context(|| format!("cannot write {}", path.display()))?;
        }
        if let Some(path) = self.summary() {
            append(path, &github_summary(told))?;
        }
        if self.github.is_some() {
            print(&github(told))?;
        }
        Ok(())
    }

    fn summary(&self) -> Option<&PathBuf> {
        self.github.as_ref()?.as_ref()
    }
}

fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
