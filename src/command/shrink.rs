//! `grantsim shrink`: the least plan that shows a violation.

use std::path::PathBuf;

use clap::Args;
use grantsim::{hunt::Exit, report};

use super::{
    broken::{BreakArgs, Ended},
    terminal::print,
};

#[derive(Args)]
pub(super) struct ShrinkArgs {
    #[command(flatten)]
    of: BreakArgs,
    /// Where to write the plan. It holds the smallest plan so far at any time; to go on, shrink it again.
    #[arg(long, value_name = "FILE", default_value = "shrunk.json")]
    out: PathBuf,
}

impl ShrinkArgs {
    /// Shrinks, writes the plan and tells its violation.
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let mut broken = self.of.find()?;
        // What it was made for was said of the whole plan.
        broken.file.about.clear();
        let Ended { shrunk, is_interrupted } = self.of.shrink(&mut broken, Some(&self.out))?;
        broken.file.write(&self.out)?;
        print(&format!("{}plan       {}\n", report::shrunk(&shrunk), self.out.display()))?;
        if shrunk.stopped {
            print(&format!("go on      {}\n", self.of.go_on(&broken, &self.out)))?;
        }
        if !is_interrupted {
            print("\n")?;
            self.of.tell(&broken, &self.out)?;
        }
        Ok(Exit::AllHeld)
    }
}
