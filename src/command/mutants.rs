//! `grantsim mutants`: the tests are tested. Every mutant of every library is hunted until the properties notice it.

use std::{fs, num::NonZero, path::PathBuf, sync::Arc};

use anyhow::Context;
use clap::Args;
use grantsim::{
    drive::Subject,
    hunt::{
        Exit, Stop,
        mutants::{KnownSeeds, Matrix, Mutants},
    },
    library::{Library, Mutant},
    report,
};

use super::{
    library::mutants,
    terminal::{Line, listen, print, say},
    values::{jobs, profiles},
};

/// The smallest library, which knows nothing of the published one.
const MINIMAL: &str = include_str!("../../fixtures/libraries/minimal.lua");

#[derive(Args)]
pub(super) struct MutantsArgs {
    /// How many seeds from each start at most. A kind that so many do not show is not shown.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// From how many starts: what most of them show is shown.
    #[arg(long, default_value = "3")]
    starts: NonZero<u64>,
    /// How many runs at a time; all cores when absent. The result does not depend on it.
    #[arg(long)]
    jobs: Option<NonZero<usize>>,
    /// This mutant only, by name or as a Lua file; may be repeated. All of them when absent.
    #[arg(long = "mutant", value_name = "NAME", value_parser = mutants())]
    mutants: Vec<Mutant>,
    /// Draw the plans of all from this profile, and not from the one that each names.
    #[arg(long, value_parser = profiles())]
    profile: Option<String>,
    /// Write the matrix as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl MutantsArgs {
    /// Hunts them, and tells which live, and which kinds none shows.
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let minimal = Library::from_source("minimal.lua", MINIMAL)?;
        let hunted = Mutants {
            libraries: vec![Subject::new(Library::published())?, Subject::new(minimal)?],
            mutants: if self.mutants.is_empty() { Mutant::all() } else { self.mutants.clone() },
            seeds: self.seeds,
            starts: self.starts,
            jobs: jobs(self.jobs),
            profile: self.profile.clone(),
            first: KnownSeeds::new(),
        };
        let stop = Arc::new(Stop::default());
        let asked = Arc::clone(&stop);
        listen(move || asked.ask())?;
        let line = Line::new();
        let matrix = hunted.run(&stop, |done, of| line.show(format!("{done} of {of} starts")))?;
        line.done();
        if let Some(path) = &self.json {
            let json =
                serde_json::to_string_pretty(&matrix.to_json()).context("a matrix is plain data")? + "\n";
            fs::write(path, json).with_context(|| format!("cannot write the matrix {}", path.display()))?;
        }
        self.conclude(&matrix)
    }

    fn conclude(&self, matrix: &Matrix) -> anyhow::Result<Exit> {
        // Of a few mutants, that they do not show every kind says nothing.
        let is_whole = self.mutants.is_empty();
        print(&report::mutants(matrix, is_whole))?;
        let failed = matrix.failed();
        for failed in &failed {
            say(&format!("error: {}", report::failed(failed)));
        }
        if matrix.interrupted {
            say("interrupted: what was not hunted counts as alive");
        }
        if let Some(failed) = failed.iter().max_by_key(|failed| failed.exit.code()) {
            return Ok(failed.exit);
        }
        let is_missing = is_whole && !matrix.not_shown().is_empty();
        Ok(if matrix.has_survivors() || is_missing { Exit::NotReached } else { Exit::AllHeld })
    }
}
