//! The engine answers as real servers answered: every transcript of `fixtures/transcripts/`, reply by reply.
//!
//! A transcript is recorded with `cargo run -p valkey-sim --example record`. Nothing here needs a server.

mod support;

use std::path::Path;

use support::{
    differences,
    server::Server,
    simulated::Simulated,
    transcript::{self, START, Step},
};
use valkey_sim::engine::{Dialect, Protocol, Reply};

#[test]
fn the_engine_answers_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/transcripts");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 9, "{files:?}");
    let wrong: Vec<String> = files.iter().flat_map(|path| replay(path)).collect();
    assert!(wrong.is_empty(), "\n{}\n{} replies differ", wrong.join("\n"), wrong.len());
}

/// Every reply that is not as recorded.
fn replay(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy();
    let mut server = Simulated::new(dialect(&text).unwrap_or_else(|| panic!("{name} names no server")));
    server.set_clock(START);
    let mut reader = transcript::Reader::default();
    let mut wrong = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let (reply, protocol) = match reader.step(line) {
            None => continue,
            Some(Step::Clock(now)) => {
                server.set_clock(now);
                continue;
            }
            Some(Step::Library(args)) => {
                assert_eq!(server.send(&args), Reply::bulk("flowfabric"));
                continue;
            }
            Some(Step::Command(args)) => (server.send(&args), server.protocol()),
            Some(Step::Other(args)) => (server.send_over_other(&args), Protocol::Resp2),
        };
        let (_, recorded) = lines.next().unwrap_or((0, ""));
        let ours = transcript::show_in(&reply, protocol);
        let real = recorded.trim_start();
        if ours != real && !differences::is_known(line, real, &ours) {
            let line_number = number + 1;
            wrong.push(format!("{name}:{line_number}: {line}\n    real: {real}\n    ours: {ours}"));
        }
    }
    wrong
}

/// The dialect of the server that the first line names.
fn dialect(transcript: &str) -> Option<Dialect> {
    let server = transcript.lines().next()?.strip_prefix("# ")?;
    match server.split([' ', '.']).next()? {
        "valkey" => Some(Dialect::Valkey8),
        "redis" => Some(Dialect::Redis7),
        _ => None,
    }
}
