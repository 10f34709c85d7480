//! `grantsim completions`: what a shell needs to complete this command line.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use grantsim::hunt::Exit;

use super::{Cli, terminal::print};

#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints the script.
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), env!("CARGO_BIN_NAME"), &mut script);
        print(&String::from_utf8_lossy(&script))?;
        Ok(Exit::AllHeld)
    }
}
