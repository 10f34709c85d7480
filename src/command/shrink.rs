//! `grantsim shrink`: the least plan that shows a violation.

use std::path::PathBuf;

use clap::Args;
use grantsim::{hunt::Exit, report};

use super::{broken::BreakArgs, terminal::print};

#[derive(Args)]
pub(super) struct ShrinkArgs {
    #[command(flatten)]
    of: BreakArgs,
    /// Where to write the plan.
    #[arg(long, value_name = "FILE", default_value = "shrunk.json")]
    out: PathBuf,
}

impl ShrinkArgs {
    /// Shrinks, writes the plan and tells its violation.
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let mut broken = self.of.find()?;
        let shrunk = self.of.shrink(&broken)?;
        print(&report::shrunk(&shrunk))?;
        broken.file.plan = shrunk.plan;
        // What it was made for was said of the whole plan.
        broken.file.about.clear();
        broken.file.write(&self.out)?;
        print(&format!("plan       {}\n\n", self.out.display()))?;
        self.of.tell(&broken, &self.out)?;
        Ok(Exit::AllHeld)
    }
}
