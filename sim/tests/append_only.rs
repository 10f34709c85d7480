//! The append-only file against real servers: the engine's file is theirs byte for byte, and both make the same of one that is
//! cut anywhere. A server that is killed has lost nothing, whatever `appendfsync` says.

use crate::support::{
    commands,
    dump::{self, dump},
    real::Real,
    server::{Args, Server},
    simulated::Simulated,
    transcript::{self, START, Step},
};
use valkey_sim::{
    clock::SimTime,
    durability::AppendOnlyFile,
    engine::{Dialect, Effects, Engine},
    lua::Interpreter,
};

const DIALECTS: [Dialect; 2] = [Dialect::Valkey8, Dialect::Redis7];

/// The lives of some grants, as the published library writes them.
fn lives(dialect: Dialect) -> Vec<Step> {
    let folder = format!("{}/../fixtures/transcripts/{dialect}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(format!("{folder}/grant_lives.txt")).expect("the transcript is there");
    let mut reader = transcript::Reader::default();
    text.lines().filter_map(|line| reader.step(line)).collect()
}

/// What the engine has in its file after these steps.
fn written(dialect: Dialect, steps: &[Step]) -> AppendOnlyFile {
    let mut engine = Engine::new(dialect, Interpreter::default());
    let mut clients = [engine.connect(), engine.connect()];
    let (mut file, mut now, mut effects) = (AppendOnlyFile::default(), START, Effects::default());
    for step in steps {
        let (client, args) = match step {
            Step::Clock(at) => {
                now = *at;
                continue;
            }
            Step::Library(args) | Step::Command(args) => (0, args),
            Step::Other(args) => (1, args),
        };
        effects.clear();
        let words: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        engine.execute(&mut clients[client], &words, now, &mut effects);
        file.append(SimTime::START, &effects);
    }
    file
}

fn run(real: &mut Real, steps: &[Step]) {
    real.set_clock(START);
    for step in steps {
        match step {
            Step::Clock(now) => real.set_clock(*now),
            Step::Library(args) | Step::Command(args) => _ = real.send(args),
            Step::Other(args) => _ = real.send_over_other(args),
        }
    }
}

/// What a server holds that is started with this file: the engine's answer, asked as a real one is.
fn restored(dialect: Dialect, file: &[u8]) -> dump::Dump {
    let mut ours = Simulated::new(dialect);
    AppendOnlyFile::of_bytes(file.to_vec()).load_into(&mut ours.engine).expect("the file loads");
    ours.set_clock(START);
    dump(&mut ours)
}

#[test]
fn the_file_is_a_real_servers_byte_for_byte_and_a_cut_one_restores_the_same() {
    for dialect in DIALECTS {
        let Some(mut real) = Real::with_file(dialect, "always", "the append-only file") else { continue };
        let steps = lives(dialect);
        run(&mut real, &steps);
        let theirs = real.append_only_file();
        let ours = written(dialect, &steps);
        let parts = theirs.iter().zip(ours.bytes()).position(|(their, our)| their != our);
        let near = |bytes: &[u8], at: usize| {
            bytes[at.saturating_sub(60)..bytes.len().min(at + 60)].escape_ascii().to_string()
        };
        if let Some(at) = parts {
            panic!(
                "{dialect}: the files part at byte {at}\n  real: {}\n  ours: {}",
                near(&theirs, at),
                near(ours.bytes(), at)
            );
        }
        assert_eq!(theirs.len(), ours.bytes().len(), "{dialect}: one file goes on");
        // Cuts over the whole length; some fall into the middle of a function call.
        for part in 1..=12 {
            let cut = theirs.len() * part / 12 - part % 3;
            real.restart_with(&theirs[..cut]);
            real.set_clock(START);
            let parted = dump::differences(&dump(&mut real), &restored(dialect, &theirs[..cut]));
            assert!(parted.is_empty(), "{dialect}: cut at byte {cut}\n{}", parted.join("\n"));
        }
    }
}

#[test]
fn a_server_that_is_killed_has_lost_nothing_whatever_it_syncs() {
    for dialect in DIALECTS {
        for fsync in ["always", "everysec", "no"] {
            let Some(mut real) = Real::with_file(dialect, fsync, "a kill under each appendfsync") else {
                continue;
            };
            let sets: Vec<Args> = (0..200)
                .map(|n| ["SET", &format!("k{n}"), "v"].map(|word| word.as_bytes().to_vec()).to_vec())
                .collect();
            real.send_all(&sets);
            let file = real.restart();
            assert_eq!(dump(&mut real).len(), 200, "{dialect}, appendfsync {fsync}");
            assert_eq!(restored(dialect, &file).len(), 200);
        }
    }
}

/// Random commands, not only those of the library: what the engine reads back from its own file is what it held.
#[test]
fn an_engine_reads_back_from_its_file_what_it_held() {
    for dialect in DIALECTS {
        for seed in 0..40u8 {
            let choices: Vec<Vec<u8>> = (0..30u8)
                .map(|n| {
                    (0..32u8)
                        .map(|at| seed.wrapping_mul(31).wrapping_add(n.wrapping_mul(at | 1)) ^ at)
                        .collect()
                })
                .collect();
            let steps = commands::steps(&choices);
            let file = written(dialect, &steps);
            let again = restored(dialect, file.bytes());
            let mut held = Simulated::new(dialect);
            held.set_clock(START);
            for step in &steps {
                match step {
                    Step::Clock(now) => held.set_clock(*now),
                    Step::Library(args) | Step::Command(args) => _ = held.send(args),
                    Step::Other(args) => _ = held.send_over_other(args),
                }
            }
            held.send(&["RESET"]);
            held.set_clock(START);
            // Of streams a server does not write down all (`tests/effects.rs` says what).
            let mut parted = dump::differences(&dump(&mut held), &again);
            parted.retain(|line| !line.contains(" stream, expires"));
            assert!(parted.is_empty(), "{dialect}, seed {seed}\n{}", parted.join("\n"));
        }
    }
}
