//! Records a transcript: runs a script of commands on a real server and prints them with its replies.
//!
//! `cargo run -p valkey-sim --example record -- script.txt > fixtures/transcripts/name.txt`. A transcript is a script,
//! too: its replies are left out and asked for anew. The format is described in `tests/support/transcript.rs`.

use std::process::ExitCode;

#[path = "../tests/support/mod.rs"]
mod support;

use support::{real::Real, transcript};

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: record SCRIPT");
        return ExitCode::from(2);
    };
    let script = match std::fs::read_to_string(&path) {
        Ok(script) => script,
        Err(error) => {
            eprintln!("cannot read {path}: {error}");
            return ExitCode::from(2);
        }
    };
    let Some(mut server) = Real::start(&format!("{path} is not recorded")) else { return ExitCode::FAILURE };
    print!("{}", transcript::record(&script, &mut server));
    ExitCode::SUCCESS
}
