//! When a key ends: what EXPIRE and its kin answer, what they set, and what they propagate.
//!
//! The conditions are as redis 7.0 and valkey 8.0 have them (expire.c, expireGenericCommand): a key that never ends counts
//! as one that ends later than any other, for GT as for LT.

use crate::common::{Server, run};
use valkey_sim::{engine::Dialect, lua::Interpreter};

const DIALECTS: [Dialect; 2] = [Dialect::Valkey8, Dialect::Redis7];

/// Milliseconds since the epoch: what the clock shows.
const NOW: i64 = 1_700_000_000_000;

fn server(dialect: Dialect) -> Server {
    Server::new(dialect, Interpreter::default())
}

/// What the last command wrote.
fn wrote(server: &Server) -> Vec<String> {
    let words = |effect: valkey_sim::engine::Effect<'_>| {
        effect.args().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect::<Vec<_>>().join(" ")
    };
    server.effects.iter().map(words).collect()
}

/// By how many milliseconds a key outlives now, if it ends at all; then the condition, and whether a key that is to
/// end in 20 s may.
const CONDITIONS: &[(Option<i64>, &str, bool)] = &[
    (None, "", true),
    (Some(10_000), "", true),
    (Some(20_000), "", true),
    (None, "NX", true),
    (Some(10_000), "NX", false),
    (Some(30_000), "NX", false),
    (None, "XX", false),
    (Some(10_000), "XX", true),
    (Some(30_000), "XX", true),
    (None, "GT", false),
    (Some(10_000), "GT", true),
    (Some(20_000), "GT", false),
    (Some(30_000), "GT", false),
    (None, "LT", true),
    (Some(10_000), "LT", false),
    (Some(20_000), "LT", false),
    (Some(30_000), "LT", true),
    (None, "XX GT", false),
    (Some(10_000), "XX GT", true),
    (Some(30_000), "GT XX", false),
    (None, "XX LT", false),
    (Some(10_000), "XX LT", false),
    (Some(30_000), "lt xx", true),
];

#[test]
fn a_condition_decides_whether_a_key_gets_a_new_end() {
    for dialect in DIALECTS {
        for (current, condition, may) in CONDITIONS {
            let seconds = NOW / 1_000 + 20;
            for command in [
                "EXPIRE k 20".to_owned(),
                "PEXPIRE k 20000".to_owned(),
                format!("EXPIREAT k {seconds}"),
                format!("PEXPIREAT k {}", NOW + 20_000),
            ] {
                let mut server = server(dialect);
                run(&mut server, "SET k v");
                if let Some(ms) = current {
                    assert_eq!(run(&mut server, &format!("PEXPIRE k {ms}")), ":1");
                }
                let line = format!("{command} {condition}");
                let case = format!("{dialect}: {line} with {current:?}");
                assert_eq!(run(&mut server, line.trim_end()), if *may { ":1" } else { ":0" }, "{case}");
                let propagated = format!("PEXPIREAT k {} {condition}", NOW + 20_000);
                let propagated = propagated.trim_end().to_owned();
                assert_eq!(wrote(&server), if *may { vec![propagated] } else { vec![] }, "{case}");
                let end = if *may { Some(20_000) } else { *current };
                let told = end.map_or(":-1".to_owned(), |ms| format!(":{}", NOW + ms));
                assert_eq!(run(&mut server, "PEXPIRETIME k"), told, "{case}");
            }
        }
    }
}

#[test]
fn a_key_that_is_not_there_gets_no_end_whatever_the_condition() {
    for dialect in DIALECTS {
        for condition in ["", " NX", " XX", " GT", " LT"] {
            let mut server = server(dialect);
            assert_eq!(run(&mut server, &format!("EXPIRE k 20{condition}")), ":0");
            assert_eq!(wrote(&server), [""; 0]);
        }
    }
}

#[test]
fn an_end_that_is_past_or_now_takes_the_key_at_once_unless_its_condition_forbids() {
    for (dialect, deletion) in [(Dialect::Valkey8, "UNLINK k"), (Dialect::Redis7, "DEL k")] {
        for command in [
            "EXPIRE k 0".to_owned(),
            "EXPIRE k -1".to_owned(),
            "PEXPIRE k 0".to_owned(),
            "PEXPIREAT k 1".to_owned(),
            format!("PEXPIREAT k {}", NOW - 1),
            format!("PEXPIREAT k {NOW}"),
            format!("EXPIREAT k {}", NOW / 1_000),
        ] {
            let mut server = server(dialect);
            run(&mut server, "SET k v");
            assert_eq!(run(&mut server, &format!("{command} GT")), ":0", "{command}");
            assert_eq!(run(&mut server, &command), ":1", "{command}");
            assert_eq!(wrote(&server), [deletion], "{command}");
            assert_eq!(run(&mut server, "EXISTS k"), ":0", "{command}");
        }
        let mut server = server(dialect);
        run(&mut server, "SET k v");
        assert_eq!(run(&mut server, &format!("PEXPIREAT k {}", NOW + 1)), ":1");
        assert_eq!(run(&mut server, "PTTL k"), ":1", "one millisecond later it lives");
    }
}

#[test]
fn a_key_is_there_in_the_millisecond_of_its_end_and_not_in_the_next() {
    for (dialect, deletion) in [(Dialect::Valkey8, "UNLINK k"), (Dialect::Redis7, "DEL k")] {
        let mut server = server(dialect);
        run(&mut server, "SET k v PX 5");
        server.now.0 += 5_999;
        assert_eq!((run(&mut server, "GET k"), run(&mut server, "PTTL k")), ("v".into(), ":0".into()));
        server.now.0 += 1;
        assert_eq!(run(&mut server, "GET k"), "null");
        assert_eq!(wrote(&server), [deletion], "whoever asks removes it");
    }
}

#[test]
fn a_field_that_gets_another_value_is_propagated_and_counts_as_nothing_new() {
    for dialect in DIALECTS {
        let mut server = server(dialect);
        run(&mut server, "HSET h f 1");
        for (line, reply) in
            [("HSET h f 2", ":0"), ("HSET h f 2", ":0"), ("HSET h f 3 g 1", ":1"), ("HMSET h f 4", "+OK")]
        {
            assert_eq!(run(&mut server, line), reply);
            assert_eq!(wrote(&server), [line]);
        }
        assert_eq!(run(&mut server, "HGET h f"), "4");
    }
}
