//! `grantsim contract`: what still holds under which faults.

use clap::Args;
use grantsim::{hunt::Exit, property::Contract, report};
use serde::Serialize;

use super::terminal;

/// What `contract` is asked for.
#[derive(Args)]
pub struct ContractArgs {
    /// Print JSON: a cell a promise and class of faults, with its evidence.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print docs/contract.md.
    #[arg(long)]
    markdown: bool,
}

#[derive(Serialize)]
struct Cells {
    cells: Vec<grantsim::property::Cell>,
}

impl ContractArgs {
    pub fn run(self) -> anyhow::Result<Exit> {
        let contract = Contract::published();
        let text = match (self.json, self.markdown) {
            (true, _) => serde_json::to_string_pretty(&Cells { cells: contract.cells().collect() })? + "\n",
            (_, true) => report::contract_in_markdown(contract),
            _ => report::contract(contract),
        };
        terminal::print(&text)?;
        Ok(Exit::AllHeld)
    }
}
