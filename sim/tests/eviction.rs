//! `maxmemory-policy`: which keys go, what is told of it, and what is refused when none may go; also as real servers have it.

use crate::common::{run, show};
use crate::support::{
    dump::{self, dump},
    real::Real,
    server::{Args, Server},
    simulated::Simulated,
    transcript::START,
};
use valkey_sim::{
    clock::SimTime,
    durability::AppendOnlyFile,
    engine::{
        Dialect, Effects, Engine, UnixMicros,
        replication::{Address, ReplicaId},
    },
    lua::Interpreter,
    replica::Replica,
};

const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.";
/// What a server without keys uses, and what these tests' keys take each.
const EMPTY: u64 = 1_000_000;
const KEY: u64 = 72 + 2 + 100;

/// A server with the keys `k0` … `k9` of a hundred bytes, those with even numbers expiring, the highest first; written in
/// order.
fn full(policy: &str) -> crate::common::Server {
    let mut server = crate::common::Server::new(Dialect::Valkey8, Interpreter::default());
    run(&mut server, &format!("config set maxmemory-policy {policy}"));
    for n in 0..10 {
        run(&mut server, &format!("set k{n} {}", "v".repeat(100)));
        if n % 2 == 0 {
            run(&mut server, &format!("expire k{n} {}", 1_000 - n));
        }
    }
    server
}

/// Leaves room for so many of these keys, and has a command come.
fn room_for(server: &mut crate::common::Server, keys: u64) -> Vec<String> {
    let limit = EMPTY + keys * KEY;
    assert_eq!(run(server, &format!("config set maxmemory {limit}")), "+OK");
    assert_eq!(run(server, "ping"), "+PONG");
    server.effects.iter().map(|effect| String::from_utf8_lossy(effect.key()).into_owned()).collect()
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    let mut server = full("allkeys-lru");
    run(&mut server, "get k0");
    run(&mut server, "hget k1 f");
    // These ask about keys and use none.
    for line in ["ttl k2", "type k2", "exists k2", "object encoding k2"] {
        run(&mut server, line);
    }
    assert_eq!(room_for(&mut server, 7), ["k2", "k3", "k4"]);
    assert_eq!(run(&mut server, "exists k0 k1 k5"), ":3");
    let mut server = full("volatile-lru");
    run(&mut server, "get k0");
    assert_eq!(room_for(&mut server, 7), ["k2", "k4", "k6"]);
}

#[test]
fn a_key_that_was_made_anew_is_no_longer_old() {
    let mut server = full("allkeys-lru");
    run(&mut server, "del k0");
    run(&mut server, &format!("set k0 {}", "v".repeat(100)));
    assert_eq!(room_for(&mut server, 8), ["k1", "k2"]);
}

#[test]
fn keys_that_are_not_there_are_forgotten() {
    let mut server = full("allkeys-lru");
    for n in 0..2_000 {
        run(&mut server, &format!("get missing:{n}"));
        run(&mut server, &format!("set short:{n} v"));
        run(&mut server, &format!("del short:{n}"));
    }
    let noted = format!("{:?}", server.engine).matches("missing:").count();
    assert!(noted < 200, "{noted} keys are noted");
    assert_eq!(room_for(&mut server, 8), ["k0", "k1"], "and the others are not");
}

#[test]
fn a_script_uses_each_key_that_its_commands_look_at() {
    let mut server = full("allkeys-lru");
    show(&server.run(&[b"EVAL", b"redis.call('get', 'k0') redis.call('get', 'k1')", b"0"]));
    assert_eq!(room_for(&mut server, 8), ["k2", "k3"]);
}

#[test]
fn what_is_used_least_often_goes_first() {
    // To let a key expire is a use of it: the odd ones have one less.
    for (policy, evicted) in [("allkeys-lfu", ["k3", "k5"]), ("volatile-lfu", ["k4", "k6"])] {
        let mut server = full(policy);
        for key in ["k0", "k1", "k2", "k9", "k8", "k7"] {
            for _ in 0..50 {
                run(&mut server, &format!("get {key}"));
            }
        }
        assert_eq!(room_for(&mut server, 8), evicted, "{policy}");
    }
}

#[test]
fn what_expires_first_goes_first() {
    let mut server = full("volatile-ttl");
    assert_eq!(room_for(&mut server, 8), ["k8", "k6"]);
}

#[test]
fn which_go_at_random_the_seed_decides() {
    let evicted = |policy: &str, seed: u64| {
        let mut server = full(policy);
        server.engine.seed(seed);
        room_for(&mut server, 6)
    };
    for policy in ["allkeys-random", "volatile-random"] {
        assert_eq!(evicted(policy, 1), evicted(policy, 1));
        assert!((2..10).any(|seed| evicted(policy, seed) != evicted(policy, 1)), "{policy}");
    }
    assert!(
        (0..10).all(|seed| evicted("volatile-random", seed).iter().all(|key| "k0k2k4k6k8".contains(&**key)))
    );
    assert!(
        (0..10).any(|seed| evicted("allkeys-random", seed).iter().any(|key| "k1k3k5k7k9".contains(&**key)))
    );
}

#[test]
fn what_may_not_go_stays_and_what_needs_memory_is_refused() {
    let mut server = full("volatile-lru");
    assert_eq!(room_for(&mut server, 3), ["k0", "k2", "k4", "k6", "k8"], "more would be needed");
    assert_eq!(run(&mut server, "set new 1"), OOM);
    assert_eq!(run(&mut server, "dbsize"), ":5");
    let mut server = full("noeviction");
    assert!(room_for(&mut server, 3).is_empty());
    assert_eq!((run(&mut server, "set new 1"), run(&mut server, "dbsize")), (OOM.into(), ":10".into()));
}

#[test]
fn there_is_room_before_a_command_and_none_is_made_within() {
    let mut server = full("allkeys-lru");
    assert_eq!(room_for(&mut server, 10).len(), 0);
    // Both are let in as long as memory is not used up, and the next command finds that it is.
    let code = format!("redis.call('set', 'n1', '{0}') redis.call('set', 'n2', '{0}')", "v".repeat(100));
    show(&server.run(&[b"EVAL", code.as_bytes(), b"0"]));
    assert_eq!(run(&mut server, "dbsize"), ":10");
    let names: Vec<_> = server.effects.iter().map(|effect| effect.key().to_vec()).collect();
    assert_eq!(names, [b"k0", b"k1"]);
}

#[test]
fn each_evicted_key_is_a_unit_of_its_own_in_the_database_that_it_was_in() {
    for (policy, lazy, name) in [("volatile-ttl", "yes", "UNLINK"), ("volatile-ttl", "no", "DEL")] {
        let mut server = full(policy);
        run(&mut server, "select 3");
        run(&mut server, "set first v ex 1");
        run(&mut server, "select 0");
        run(&mut server, &format!("config set lazyfree-lazy-eviction {lazy}"));
        run(&mut server, &format!("config set maxmemory {}", EMPTY + 9 * KEY));
        run(&mut server, "set new 1");
        let units: Vec<String> =
            server.effects.units().map(|unit| format!("{:?}", unit.iter().collect::<Vec<_>>())).collect();
        assert_eq!(
            units,
            [
                // The last write was in this database.
                r#"[["NAME", "first"]]"#.replace("NAME", name),
                r#"[["SELECT", "0"], ["NAME", "k8"]]"#.replace("NAME", name),
                r#"[["SET", "new", "1"]]"#.to_owned(),
            ]
        );
        // The new key was one too many, for which the next command makes room.
        assert!(run(&mut server, "info stats").contains("evicted_keys:3\r\n"));
        assert!(run(&mut server, "info stats").contains("expired_keys:0\r\n"));
        run(&mut server, "config resetstat");
        assert!(run(&mut server, "info stats").contains("evicted_keys:0\r\n"));
    }
}

#[test]
fn who_watches_an_evicted_key_is_told() {
    let mut server = full("volatile-ttl");
    run(&mut server, "watch k8");
    assert_eq!(room_for(&mut server, 9), ["k8"]);
    run(&mut server, "multi");
    run(&mut server, "get k1");
    assert_eq!(run(&mut server, "exec"), "null");
}

#[test]
fn a_file_and_a_replica_have_what_was_evicted_as_the_primary_has() {
    let mut server = full("allkeys-lru");
    let address = |port| Address { host: "10.0.0.1".to_owned(), port };
    let empty = || Engine::new(Dialect::Valkey8, Interpreter::default());
    let mut replica = Replica::new(ReplicaId(1), address(2), empty());
    replica.synchronise(&mut server.engine, address(1), server.now).unwrap();
    replica.engine_mut().configure("maxmemory", "1").unwrap();
    replica.engine_mut().configure("maxmemory-policy", "allkeys-random").unwrap();
    let mut reader = replica.engine_mut().connect();
    let mut file = AppendOnlyFile::default();
    assert_eq!(room_for(&mut server, 8), ["k0", "k1"]);
    // The last command made the room.
    file.append(SimTime::START, &server.effects);
    let mut loaded = empty();
    // SELECT, and one unit a key.
    assert_eq!(file.load_into(&mut loaded).map(|loaded| loaded.units), Ok(3));
    replica.send(&server.engine).unwrap();
    replica.receive(u64::MAX);
    assert_eq!(replica.apply_all(&mut Effects::default()), Ok(2), "one unit a key");
    replica.engine_mut().execute(&mut reader, &[b"GET", b"k9"], server.now, &mut Effects::default());
    let keys = |engine: &Engine| engine.keyspace().iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(replica.engine()), keys(&server.engine));
    // A replica leaves it to its primary, until it is one itself.
    let mut promoted = replica.promote();
    promoted.execute(&mut reader, &[b"PING"], server.now, &mut Effects::default());
    assert!(promoted.keyspace().is_empty());
}

fn words(line: &str) -> Args {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// What was written to a file after all else: the evicted keys.
fn evicted(file: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(file).into_owned();
    let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.starts_with(['*', '$'])).collect();
    let last = lines.iter().rposition(|line| *line == "SET").expect("something was set");
    lines[last + 3..].iter().filter(|line| !line.is_empty()).map(|line| (*line).to_owned()).collect()
}

#[test]
fn a_real_server_evicts_the_same_keys_and_writes_it_down_alike() {
    for dialect in [Dialect::Valkey8, Dialect::Redis7] {
        for policy in [
            "volatile-ttl",
            "volatile-lru",
            "volatile-lfu",
            "volatile-random",
            "allkeys-lru",
            "allkeys-lfu",
            "allkeys-random",
            "noeviction",
        ] {
            let Some(mut real) = Real::with_file(dialect, "always", "eviction") else { continue };
            let mut ours = Simulated::new(dialect);
            let mut file = AppendOnlyFile::default();
            let mut both = |line: &str| {
                let their = show(&real.send(&words(line)));
                let args = words(line);
                let words: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                let mut effects = Effects::default();
                let our = ours.engine.execute(&mut ours.session, &words, START, &mut effects);
                file.append(SimTime::START, &effects);
                assert_eq!(show(&our), their, "{dialect}, {policy}: {line}");
            };
            for line in [
                "CONFIG SET maxmemory-samples 64",
                &format!("CONFIG SET maxmemory-policy {policy}"),
                "SET stays 1",
                "SET b 2 PX 9000",
                "SET c 3 PX 5000",
                "SELECT 3",
                "SET d 4 PX 7000",
                "SET stays 1",
                "SELECT 0",
                // A real server cannot do with so little: all keys go that may.
                "CONFIG SET maxmemory 1",
                "SET f 1",
                "DBSIZE",
                "DEL f",
                "EVAL return(redis.pcall('set','g',1)) 0",
                "CONFIG SET maxmemory 0",
            ] {
                both(line);
            }
            let info =
                |text: String| text.lines().find(|line| line.starts_with("evicted_keys")).map(str::to_owned);
            let (their, our) = (show(&real.send(&["INFO", "stats"])), show(&ours.send(&["INFO", "stats"])));
            assert_eq!(info(our), info(their), "{dialect}, {policy}");
            let (mut their, mut our) = (evicted(&real.append_only_file()), evicted(file.bytes()));
            if policy != "volatile-ttl" {
                // In the order in which each server looks at its keys, or at random.
                their.retain(|word| word != "SELECT" && word != "0" && word != "3");
                our.retain(|word| word != "SELECT" && word != "0" && word != "3");
                their.sort();
                our.sort();
            }
            assert_eq!(our, their, "{dialect}, {policy}");
            for database in ["0", "3"] {
                real.send(&["SELECT", database]);
                ours.send(&["SELECT", database]);
                ours.now = UnixMicros(START.0);
                let parted = dump::differences(&dump(&mut real), &dump(&mut ours));
                assert!(parted.is_empty(), "{dialect}, {policy}\n{}", parted.join("\n"));
            }
        }
    }
}
