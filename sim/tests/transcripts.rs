//! The engine answers as real servers answered: every transcript of `fixtures/transcripts/`, reply by reply.
//!
//! A transcript is recorded with `cargo run -p valkey-sim --example record`. Nothing here needs a server.

use std::path::{Path, PathBuf};

use crate::support::{
    conversation::{self, SimulatedRoom},
    differences,
    server::Server,
    simulated::Simulated,
    transcript::{self, START, Step},
};
use valkey_sim::engine::{Dialect, Protocol, Reply};

#[test]
fn the_engine_answers_as_valkey_was_recorded() {
    replay_all(Dialect::Valkey8);
}

#[test]
fn the_engine_answers_as_redis_was_recorded() {
    replay_all(Dialect::Redis7);
}

#[test]
fn both_servers_were_asked_the_same() {
    let [valkey, redis] = [Dialect::Valkey8, Dialect::Redis7].map(|dialect| {
        transcripts(dialect).into_iter().map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (
                path.file_name().unwrap().to_owned(),
                transcript::script(&text).map(str::to_owned).collect::<Vec<_>>(),
            )
        })
    });
    assert!(valkey.eq(redis));
}

#[test]
fn several_clients_hear_from_the_engine_what_they_were_recorded_to_hear() {
    let mut wrong = Vec::new();
    let mut scripts = Vec::new();
    for dialect in [Dialect::Valkey8, Dialect::Redis7] {
        for path in files("conversations", dialect, 2) {
            let recorded = std::fs::read_to_string(&path).unwrap();
            let played = conversation::play(&recorded, &mut SimulatedRoom::new(dialect));
            let real: Vec<&str> = recorded.lines().skip(1).collect();
            let ours: Vec<&str> = played.lines().collect();
            if real != ours {
                wrong.push(format!("{}\n{}", path.display(), parted(&real, &ours)));
            }
            scripts.push((path, transcript::script(&recorded).map(str::to_owned).collect::<Vec<_>>()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let (valkey, redis) = scripts.split_at(scripts.len() / 2);
    assert!(valkey.iter().zip(redis).all(|((_, one), (_, other))| one == other), "both were asked the same");
}

/// Where two conversations say different things: what was said, and what each server's clients heard.
fn parted(real: &[&str], ours: &[&str]) -> String {
    let steps = |lines: &[&str]| {
        let mut steps: Vec<Vec<String>> = Vec::new();
        for line in lines {
            match steps.last_mut() {
                Some(step) if line.starts_with(' ') => step.push((*line).to_owned()),
                _ => steps.push(vec![(*line).to_owned()]),
            }
        }
        steps
    };
    let differ = steps(real).into_iter().zip(steps(ours)).filter(|(theirs, mine)| theirs != mine);
    let shown = differ.map(|(theirs, mine)| {
        let heard = |step: &[String]| step[1..].join("\n").replace("    ", "        ");
        format!("{}\n    real:\n{}\n    ours:\n{}", theirs[0], heard(&theirs), heard(&mine))
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// The transcripts of the server of a dialect.
fn transcripts(dialect: Dialect) -> Vec<PathBuf> {
    files("transcripts", dialect, 11)
}

fn files(folder: &str, dialect: Dialect, least: usize) -> Vec<PathBuf> {
    let folder = format!("{}/../fixtures/{folder}/{dialect}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= least, "{files:?}");
    files
}

fn replay_all(dialect: Dialect) {
    let wrong: Vec<String> = transcripts(dialect).iter().flat_map(|path| replay(path, dialect)).collect();
    assert!(wrong.is_empty(), "\n{}\n{} replies differ", wrong.join("\n"), wrong.len());
}

/// Every reply that is not as recorded.
fn replay(path: &Path, dialect: Dialect) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy();
    let answered = match dialect {
        Dialect::Valkey8 => "# valkey 8.",
        Dialect::Redis7 => "# redis 7.0.",
    };
    assert!(text.starts_with(answered), "{name} names another server");
    let mut server = Simulated::new(dialect);
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
