//! The program `valkey-sim`: the engine on a real socket, and `SIM`, which turns its clock.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    process::Command,
};

use crate::common::program::Program;
use valkey_sim::engine::Reply;

/// What a manual clock shows first, in milliseconds.
const START: i64 = 1_700_000_000_000;

fn error(text: &'static str) -> Reply {
    Reply::Error(text.to_owned().into())
}

fn texts(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Array(items) => items.iter().flat_map(texts).collect(),
        Reply::Bulk(text) => vec![String::from_utf8_lossy(text).into_owned()],
        other => panic!("no array of texts: {other:?}"),
    }
}

/// What `SIM CLOCK` answers to a client that speaks RESP2.
fn shown(now: i64, state: &str) -> Reply {
    Reply::Array(vec![Reply::bulk("now"), Reply::Int(now), Reply::bulk("state"), Reply::bulk(state)])
}

mod the_clock {
    use super::*;

    #[test]
    fn stands_still_until_it_is_turned() {
        let mut client = Program::manual().into_client();
        assert_eq!(client.ask("SIM CLOCK"), shown(START, "frozen"));
        assert_eq!(client.ask("SIM CLOCK ADVANCE 1500"), shown(START + 1_500, "frozen"));
        assert_eq!(texts(&client.ask("TIME")), ["1700000001", "500000"]);
        assert_eq!(client.ask("SIM CLOCK SET 5000"), shown(5_000, "frozen"));
        assert_eq!(client.ask("XADD s * a 1"), Reply::bulk("5000-0"));
        assert_eq!(client.ask("SIM CLOCK"), shown(5_000, "frozen"));
    }

    #[test]
    fn runs_and_freezes_when_told_to() {
        let mut client = Program::manual().into_client();
        let state = |reply: Reply| match reply {
            Reply::Array(mut items) => items.pop(),
            _ => None,
        };
        assert_eq!(state(client.ask("SIM CLOCK RUN")), Some(Reply::bulk("running")));
        // The command waits by the running clock: were that to stand still, there would never be a reply.
        assert_eq!(client.ask("XREAD BLOCK 5 STREAMS s $"), Reply::NullArray);
        let frozen = client.ask("SIM CLOCK FREEZE");
        assert_eq!(client.ask("SIM CLOCK"), frozen);
        let Reply::Array(items) = frozen else { panic!("no array") };
        assert!(matches!(items[1], Reply::Int(now) if now >= START + 5), "{items:?}");
    }

    #[test]
    fn expires_a_key_one_millisecond_after_its_time() {
        let mut client = Program::manual().into_client();
        assert_eq!(client.ask("SET k v PX 10"), Reply::OK);
        client.ask("SIM CLOCK ADVANCE 10");
        assert_eq!(client.ask("GET k"), Reply::bulk("v"));
        client.ask("SIM CLOCK ADVANCE 1");
        // Nobody asked for the key: the expiry cycle removed it.
        assert_eq!(client.ask("DBSIZE"), Reply::Int(0));
        assert_eq!(texts(&client.ask("SIM EFFECTS 1")), ["UNLINK", "k"]);
    }

    #[test]
    fn wakes_who_waits_past_the_deadline_and_nobody_else() {
        let program = Program::manual();
        let mut turner = program.connect();
        let (mut soon, mut late) = (program.connect(), program.connect());
        // What comes in one packet is executed before the first of its replies goes out.
        soon.send(b"PING\r\nXREAD BLOCK 50 STREAMS s $\r\nPING\r\n");
        late.send(b"PING\r\nXREAD BLOCK 51 STREAMS s $\r\n");
        assert_eq!(
            [soon.reply(), late.reply()],
            [Reply::Status("PONG".into()), Reply::Status("PONG".into())]
        );
        // The entry comes in the same pipeline as the turn, but after the deadline.
        turner.send(b"SIM CLOCK ADVANCE 51\r\nXADD s 7-7 a 1\r\n");
        assert_eq!(turner.reply(), shown(START + 51, "frozen"));
        assert_eq!(soon.reply(), Reply::NullArray);
        assert_eq!(soon.reply(), Reply::Status("PONG".into()));
        assert_eq!(texts(&late.reply()), ["s", "7-7", "a", "1"]);
    }

    #[test]
    fn goes_back_but_never_out_of_bounds() {
        let mut client = Program::manual().into_client();
        let bounds = error("ERR invalid time, must be between 0 and 9223372036854775 milliseconds");
        assert_eq!(client.ask("SIM CLOCK SET -1"), bounds);
        assert_eq!(client.ask("SIM CLOCK SET 9223372036854775"), shown(9_223_372_036_854_775, "frozen"));
        assert_eq!(client.ask("SIM CLOCK ADVANCE 1"), bounds);
        assert_eq!(client.ask("SIM CLOCK SET 0"), shown(0, "frozen"));
        assert_eq!(client.ask("SIM CLOCK ADVANCE -1"), error("ERR value is out of range, must be positive"));
        assert_eq!(
            client.ask("SIM CLOCK SET"),
            error("ERR wrong number of arguments for 'sim|clock' command")
        );
        assert_eq!(client.ask("SIM CLOCK STOP"), error("ERR unknown subcommand 'STOP'. Try SIM HELP."));
    }
}

mod the_digest {
    use super::*;

    /// The digest after these commands, each of which a fresh server must take.
    fn after(commands: &[&str]) -> Reply {
        let mut client = Program::manual().into_client();
        for command in commands {
            let reply = client.ask(command);
            assert!(reply.error().is_none(), "{command}: {reply:?}");
        }
        client.ask("SIM DIGEST")
    }

    #[test]
    fn is_equal_whatever_the_order_of_the_writes_and_differs_after_one_more() {
        let one = [
            "HSET h a 1 b 2",
            "SADD s x y 3",
            "ZADD z 1 m 2 n",
            "SET k v PX 100",
            "RPUSH l a b",
            "XADD x 1-1 a 1",
            "XGROUP CREATE x g 0",
        ];
        let other = [
            "XADD x 1-1 a 1",
            "XGROUP CREATE x g 0",
            "RPUSH l a",
            "RPUSH l b",
            "SET k v PX 100",
            "ZADD z 2 n",
            "ZADD z 5 m",
            "ZADD z 1 m",
            "SADD s 3 z y x",
            "SREM s z",
            "HSET h b 2 a 0",
            "HSET h a 1",
        ];
        let digest = after(&one);
        assert_eq!(after(&other), digest);
        for more in [
            "HSET h a 2",
            "HSET h c 1",
            "SADD s z",
            "ZADD z 1.5 m",
            "PEXPIRE k 101",
            "PERSIST k",
            "APPEND k v",
            "LMOVE l l LEFT RIGHT",
            "XADD x 1-2 a 1",
            "XDEL x 1-1",
            "XGROUP CREATE x g2 0",
            "XREADGROUP GROUP g c STREAMS x >",
            "XGROUP CREATECONSUMER x g c",
            "RENAME k j",
        ] {
            assert_ne!(after(&[&one[..], &[more]].concat()), digest, "{more}");
        }
    }

    #[test]
    fn leaves_out_what_has_expired() {
        let empty = after(&[]);
        assert_eq!(after(&["SET k v PX 1", "SIM CLOCK ADVANCE 2"]), empty);
        assert_ne!(after(&["SET k v PX 1", "SIM CLOCK ADVANCE 1"]), empty);
    }
}

#[test]
fn effects_are_the_last_writes_oldest_first() {
    let mut client = Program::manual().into_client();
    assert_eq!(client.ask("SIM EFFECTS"), Reply::Array(vec![]));
    for command in ["SET k v EX 1", "GET k", "INCR n", "SREM nothing x", "DEL k"] {
        client.ask(command);
    }
    let all = client.ask("SIM EFFECTS");
    assert_eq!(texts(&all), ["SET", "k", "v", "PXAT", "1700000001000", "INCR", "n", "DEL", "k"]);
    assert_eq!(texts(&client.ask("SIM EFFECTS 1")), ["DEL", "k"]);
    assert_eq!(client.ask("SIM EFFECTS 0"), Reply::Array(vec![]));
}

#[test]
fn the_same_seed_gives_the_same_choices() {
    let choices = |args: &[&str], command: &str| {
        let mut client = Program::start(args).into_client();
        client.ask(command);
        client.ask("SADD s a b c d e f g h i j");
        texts(&client.ask("SRANDMEMBER s -20"))
    };
    let seven = choices(&["--seed", "7"], "PING");
    assert_eq!(choices(&[], "SIM SEED 7"), seven);
    assert_ne!(choices(&[], "SIM SEED 8"), seven);
    assert_eq!(Program::start(&["--seed", "7"]).into_client().ask("SIM SEED"), Reply::bulk("7"));
}

#[test]
fn ten_thousand_commands_in_one_pipeline_are_answered_in_order() {
    let mut client = Program::manual().into_client();
    client.send(&b"INCR n\r\n".repeat(10_000));
    for n in 1..=10_000 {
        assert_eq!(client.reply(), Reply::Int(n));
    }
}

#[test]
fn two_hundred_clients_are_served_at_once() {
    let program = Program::manual();
    let mut clients: Vec<_> = (0..200).map(|_| program.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(b"INCR n\r\n"));
    let mut counts: Vec<_> = clients
        .iter_mut()
        .map(|client| match client.reply() {
            Reply::Int(count) => count,
            other => panic!("{other:?}"),
        })
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=200).collect::<Vec<_>>());
}

#[test]
fn garbage_ends_its_connection_and_not_the_server() {
    let program = Program::manual();
    for (garbage, answer) in [
        (&b"*1\r\nPING\r\n"[..], "-ERR Protocol error: expected '$', got 'P'\r\n"),
        (b"*999999999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"SET \"k\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
    ] {
        let mut stream = TcpStream::connect(program.address()).unwrap();
        stream.write_all(garbage).unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, answer);
    }
    let mut noise = TcpStream::connect(program.address()).unwrap();
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    // The server may hang up while we still write.
    let _ = noise.write_all(&bytes);
    let _ = noise.shutdown(Shutdown::Write);
    assert_eq!(program.connect().ask("PING"), Reply::Status("PONG".into()));
}

#[test]
fn sigterm_and_ctrl_c_end_it_with_code_0() {
    for signal in ["TERM", "INT"] {
        let mut program = Program::manual();
        let mut client = program.connect();
        assert_eq!(client.ask("SET k v"), Reply::OK);
        assert_eq!(program.end(signal), Some(0), "{signal}");
        assert!(client.is_closed());
    }
}

#[test]
fn sigterm_lets_clients_have_the_replies_that_are_on_their_way() {
    let mut program = Program::manual();
    let (mut client, mut other) = (program.connect(), program.connect());
    assert_eq!(client.ask("SETRANGE k 7999999 x"), Reply::Int(8_000_000));
    client.send(b"GET k\r\n");
    // Once it is counted, it is executed, and more than the sockets hold is on its way.
    while !format!("{:?}", other.ask("INFO commandstats")).contains("cmdstat_get") {}
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| client.reply());
        assert_eq!(program.end("TERM"), Some(0));
        assert!(matches!(reader.join(), Ok(Reply::Bulk(value)) if value.len() == 8_000_000));
    });
    assert!(client.is_closed());
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let program = Program::manual();
    let port = program.address().port().to_string();
    let second = Command::new(env!("CARGO_BIN_EXE_valkey-sim")).args(["--port", &port]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.starts_with(&format!("valkey-sim: cannot listen on 127.0.0.1:{port}: ")), "{said}");
}

/// The real client program, where there is one.
mod redis_cli {
    use super::*;

    /// What `redis-cli` prints for this input; nothing where it is not installed.
    fn prints(program: &Program, args: &[&str]) -> Option<String> {
        let port = program.address().port().to_string();
        match Command::new("redis-cli").args(["-p", &port]).args(args).output() {
            Ok(output) => Some(String::from_utf8(output.stdout).unwrap()),
            Err(_) => {
                assert!(
                    std::env::var_os("GRANTSIM_REQUIRE_SERVER").is_none(),
                    "redis-cli is not on the PATH"
                );
                // Not by `eprintln!`, which a test that passes keeps to itself.
                let said = writeln!(std::io::stderr(), "NOT DRIVEN, no redis-cli on the PATH: {args:?}");
                said.expect("there is somebody to say it to");
                None
            }
        }
    }

    #[test]
    fn feels_at_home() {
        let program = Program::manual();
        let Some(pong) = prints(&program, &["PING"]) else { return };
        assert_eq!(pong, "PONG\n");
        let says = |args: &[&str]| prints(&program, args).unwrap();
        // What it asks for at the start of an interactive session, over RESP3 and RESP2.
        assert!(says(&["-3", "HELLO", "3"]).contains("proto 3\n"));
        assert!(says(&["COMMAND", "DOCS"]).contains("\nget\n"));
        assert!(says(&["-3", "COMMAND", "DOCS", "GET"]).starts_with("get "));
        assert!(says(&["INFO"]).contains("valkey_version:8.0.1"));
        assert!(says(&["INFO", "server"]).contains(&format!("tcp_port:{}", program.address().port())));
        assert_eq!(
            says(&["-3", "--no-raw", "SIM", "CLOCK"]),
            format!("1# \"now\" => (integer) {START}\n2# \"state\" => \"frozen\"\n")
        );
        assert!(says(&["SIM", "HELP"]).starts_with("SIM <subcommand> [<arg> [value] [opt] ...]."));
    }
}

#[test]
fn the_client_beyond_the_most_is_told_so_and_sent_away() {
    let program = Program::manual();
    let mut client = program.connect();
    assert_eq!(client.ask("CONFIG SET maxclients 2"), Reply::OK);
    let mut second = program.connect();
    assert_eq!(second.ask("PING"), Reply::Status("PONG".into()));
    let mut third = program.connect();
    assert_eq!(third.reply(), error("ERR max number of clients reached"));
    let Reply::Bulk(info) = client.ask("INFO stats") else { panic!("INFO is text") };
    assert!(String::from_utf8_lossy(&info).contains("rejected_connections:1"));
    // A place becomes free when a client goes.
    assert_eq!(client.ask("CLIENT KILL TYPE normal"), Reply::Int(1));
    assert_eq!(program.connect().ask("PING"), Reply::Status("PONG".into()));
}

#[test]
fn a_turn_of_the_clock_is_no_failed_call() {
    let mut client = Program::manual().into_client();
    client.ask("SIM CLOCK ADVANCE 1");
    let Reply::Bulk(stats) = client.ask("INFO commandstats errorstats") else { panic!("INFO is text") };
    let stats = String::from_utf8_lossy(&stats);
    assert!(stats.contains("cmdstat_sim|clock:calls=1") && !stats.contains("failed_calls=1"), "{stats}");
    assert!(!stats.contains("errorstat_"), "{stats}");
}

#[test]
fn a_signal_ends_a_server_in_which_scripts_run() {
    let mut program = Program::manual();
    let mut client = program.connect();
    // Minutes of work, sent at once.
    client.send("EVAL \"while true do end\" 0\r\n".repeat(500).as_bytes());
    let mut other = program.connect();
    other.send(b"PING\r\n");
    let start = std::time::Instant::now();
    assert_eq!(program.end("TERM"), Some(0));
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}
