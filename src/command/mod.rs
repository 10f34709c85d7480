//! The command line, and nothing else: arguments in, a report out, an exit code that says which. A command a file.

mod broken;
mod ci;
mod compare;
mod completions;
mod contract;
mod explore;
mod hunt;
mod keep;
mod library;
mod mutants;
#[cfg(test)]
mod readme;
mod replay;
mod shrink;
mod smaller;
mod terminal;
mod values;
mod violation;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use grantsim::{hunt::Exit, report};

/// Deterministic simulation and property testing of claim grants and leases kept in Valkey.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run many seeds and check every property on each.
    Hunt(hunt::HuntArgs),
    /// Run one token or plan again, or judge a trace, and show what happened.
    Replay(replay::ReplayArgs),
    /// Make the plan of a violation as small and as plain as it can be.
    Shrink(shrink::ShrinkArgs),
    /// Keep the plan of a violation among those that the tests run: fixtures/plans/NAME.json.
    Keep(keep::KeepArgs),
    /// Compare two libraries, call by call: what did a change to the library change?
    Compare(compare::CompareArgs),
    /// Explore every history of calls up to a depth: every state that they lead to, by every property.
    Explore(explore::ExploreArgs),
    /// Hunt every mutant of the library: does each property notice what it is there for?
    Mutants(mutants::MutantsArgs),
    /// List the properties, and the faults under which they hold.
    Properties,
    /// Say what still holds under which faults: every promise, every class of faults, and the evidence.
    Contract(contract::ContractArgs),
    /// List the known findings: what the published library breaks, and in which versions.
    Findings,
    /// List the profiles.
    Profiles,
    /// Print what a shell needs to complete this command line.
    Completions(completions::CompletionsArgs),
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Hunt(args) => args.run(),
        Command::Replay(args) => args.run(),
        Command::Shrink(args) => args.run(),
        Command::Keep(args) => args.run(),
        Command::Compare(args) => args.run(),
        Command::Explore(args) => args.run(),
        Command::Mutants(args) => args.run(),
        Command::Properties => terminal::print(&report::properties()).map(|()| Exit::AllHeld),
        Command::Contract(args) => args.run(),
        Command::Findings => terminal::print(&report::findings()).map(|()| Exit::AllHeld),
        Command::Completions(args) => args.run(),
        Command::Profiles => terminal::print(&report::profiles()).map(|()| Exit::AllHeld),
    };
    let exit = result.unwrap_or_else(|error| {
        terminal::say(&format!("error: {}", describe(&error)));
        Exit::of_error(error.chain())
    });
    ExitCode::from(exit.code())
}

/// An error and its causes in a line. Most errors name their cause themselves, before they say what to do about it: what
/// has been said is not said again.
fn describe(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match &*said {
        "" => cause,
        _ if said.contains(&cause) => said,
        _ => format!("{said}: {cause}"),
    })
}
