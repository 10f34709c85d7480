//! Records a transcript: runs a script of commands on the real server of a dialect and prints them with its replies.
//!
//! `cargo run -p valkey-sim --example record -- valkey-8 script.txt > fixtures/transcripts/valkey-8/name.txt`. A
//! transcript is a script, too: its replies are left out and asked for anew. The format is described in
//! `tests/support/transcript.rs`; that of several clients (a path with `conversations` in it) in
//! `tests/support/conversation.rs`.

use std::process::ExitCode;

#[path = "../tests/support/mod.rs"]
mod support;

use support::{
    conversation::{self, RealRoom},
    real::Real,
    transcript,
};
use valkey_sim::engine::Dialect;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dialect, path] = &args[..] else {
        eprintln!("usage: record DIALECT SCRIPT");
        return ExitCode::from(2);
    };
    let dialect: Dialect = match dialect.parse() {
        Ok(dialect) => dialect,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let script = match std::fs::read_to_string(path) {
        Ok(script) => script,
        Err(error) => {
            eprintln!("cannot read {path}: {error}");
            return ExitCode::from(2);
        }
    };
    let Some(mut server) = Real::start(dialect, &format!("{path} is not recorded")) else {
        return ExitCode::FAILURE;
    };
    if path.contains("conversations") {
        let mut room = RealRoom::new(server);
        println!("# {}", room.name());
        print!("{}", conversation::play(&script, &mut room));
        return ExitCode::SUCCESS;
    }
    print!("{}", transcript::record(&script, &mut server));
    ExitCode::SUCCESS
}
