//! What this repository claims, as one crate: it links once, and both cores have something to do until the end.
//!
//! A file, or a folder, is a subject; `cargo test regressions::` runs one of them.

mod common;
/// What comparing with a real server takes.
#[path = "../sim/tests/support/mod.rs"]
mod support;

mod at_most_once;
mod check;
mod cli;
mod compare;
mod contract;
mod deadlines;
mod deeds;
mod determinism;
mod eligible;
mod expired_grants;
mod failures;
mod faults;
mod fence;
mod files;
mod findings;
mod house;
mod hunt;
mod lane_pass_through;
mod library;
mod mutants;
mod naming;
mod one_lease;
mod order;
mod outside;
mod own_library;
mod page;
mod plans;
mod raises;
mod real_server;
mod regressions;
mod second_driver;
mod server_breaks;
mod shrink;
mod traces;
mod versions;
mod writes;
