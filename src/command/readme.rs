//! The README lists every command and every flag, and none that there is not; and the findings and the kill matrix as the
//! program has them.

use std::collections::{BTreeMap, BTreeSet};

use clap::CommandFactory;

use super::Cli;

const README: &str = include_str!("../../README.md");

/// Flags that every command has.
const OF_ALL: [&str; 2] = ["help", "version"];

/// The flags of each command, as the command line has them.
fn of_command_line() -> BTreeMap<String, BTreeSet<String>> {
    let flags = |command: &clap::Command| {
        let long = command.get_arguments().filter_map(|arg| arg.get_long());
        long.filter(|name| !OF_ALL.contains(name)).map(str::to_owned).collect()
    };
    let cli = Cli::command();
    cli.get_subcommands().map(|command| (command.get_name().to_owned(), flags(command))).collect()
}

/// The README's block of commands.
fn block() -> &'static str {
    let begin =
        README.find("```text\ngrantsim hunt").expect("the README has a block that begins with the hunt");
    let block = &README[begin + "```text\n".len()..];
    block.split("\n```").next().expect("a part")
}

/// The flags of each command, as the README lists them: lines that begin with the command, and those indented below it.
fn of_readme() -> BTreeMap<String, BTreeSet<String>> {
    let mut commands: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = None;
    for line in block().lines() {
        if let Some(rest) = line.strip_prefix("grantsim ") {
            current = rest.split_whitespace().next().map(str::to_owned);
        }
        let Some(command) = &current else { continue };
        let is_of_a_flag = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let flags = line.split("--").skip(1).filter_map(|rest| rest.split(|c| !is_of_a_flag(c)).next());
        let flags = flags.filter(|flag| !flag.is_empty()).map(str::to_owned);
        commands.entry(command.clone()).or_default().extend(flags);
    }
    commands
}

#[test]
fn the_readme_lists_every_command_with_all_of_its_flags() {
    assert_eq!(of_readme(), of_command_line());
}

/// A list of the program stands in the README as a block of text, as it is.
#[track_caller]
fn stands_in_the_readme(what: &str, list: &str) {
    let is_there = README.contains(&format!("```text\n{list}```\n"));
    assert!(is_there, "the README's block of {what} is out of date; it must be:\n\n```text\n{list}```\n");
}

#[test]
fn the_readme_lists_the_findings() {
    stands_in_the_readme("findings", &grantsim::report::findings_in_short());
}

#[test]
fn the_readme_has_the_kill_matrix_in_short() {
    stands_in_the_readme("oracles", &grantsim::report::oracles());
}

#[test]
fn the_readme_has_the_contract_in_short() {
    let contract = grantsim::property::Contract::published();
    stands_in_the_readme("the contract", &grantsim::report::contract_in_short(contract));
}
