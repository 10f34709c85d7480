//! Settings, as redis-server 7.0.15 has them.

use std::collections::BTreeMap;

use crate::common::{Server, run, show};
use crate::support::{real::Real, server::Server as _};
use valkey_sim::{
    engine::{Dialect, Reply},
    lua::Interpreter,
};

fn redis() -> Server {
    Server::new(Dialect::Redis7, Interpreter::default())
}

#[test]
fn encodings_follow_the_limits() {
    let mut server = redis();
    run(&mut server, "hset h a 1 b 2 c 3");
    run(&mut server, "zadd z 1 a 2 b 3 c");
    for (key, setting, large) in [
        ("h", "hash-max-listpack-entries 2", "hashtable"),
        ("h", "hash-max-listpack-value 0", "hashtable"),
        ("z", "zset-max-ziplist-entries 2", "skiplist"),
        ("z", "zset-max-listpack-value 0", "skiplist"),
    ] {
        assert_eq!(run(&mut server, &format!("object encoding {key}")), "listpack");
        assert_eq!(run(&mut server, &format!("config set {setting}")), "+OK");
        assert_eq!(run(&mut server, &format!("object encoding {key}")), large, "{setting}");
        run(&mut server, "config set hash-max-listpack-entries 512 hash-max-listpack-value 64");
        run(&mut server, "config set zset-max-listpack-entries 128 zset-max-listpack-value 64");
    }
}

#[test]
fn sets_and_lists_follow_their_limits() {
    let mut server = Server::default();
    run(&mut server, "sadd i 1 2 3");
    run(&mut server, "sadd s a b c");
    run(&mut server, "rpush l a b c");
    for (key, setting, small, large) in [
        ("i", "set-max-intset-entries 2", "intset", "listpack"),
        ("i", "set-max-intset-entries 2 set-max-listpack-entries 2", "intset", "hashtable"),
        ("s", "set-max-listpack-entries 2", "listpack", "hashtable"),
        ("s", "set-max-listpack-value 0", "listpack", "hashtable"),
        ("l", "list-max-listpack-size 2", "listpack", "quicklist"),
    ] {
        assert_eq!(run(&mut server, &format!("object encoding {key}")), small);
        assert_eq!(run(&mut server, &format!("config set {setting}")), "+OK");
        assert_eq!(run(&mut server, &format!("object encoding {key}")), large, "{setting}");
        run(&mut server, "config set set-max-intset-entries 512 set-max-listpack-entries 128");
        run(&mut server, "config set set-max-listpack-value 64 list-max-listpack-size -2");
    }
    let bytes = "x".repeat(3_000);
    run(&mut server, &format!("rpush long {bytes} {bytes}"));
    run(&mut server, "config set list-max-listpack-size -1");
    assert_eq!(run(&mut server, "object encoding long"), "quicklist");
}

#[test]
fn strings_grow_up_to_the_longest_bulk() {
    let mut server = Server::default();
    run(&mut server, "config set proto-max-bulk-len 1mb");
    let error = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    assert_eq!(run(&mut server, "setrange k 1048576 x"), error);
    assert_eq!(run(&mut server, "setrange k 1048575 x"), ":1048576");
    assert_eq!(run(&mut server, "append k x"), error);
}

#[test]
fn structured_values_are_told_as_a_server_tells_them() {
    let mut server = redis();
    for (name, value, told) in [
        ("save", "900 1  300 10", "900 1 300 10"),
        ("notify-keyspace-events", "KEA", "AKE"),
        ("notify-keyspace-events", "gK$", "g$K"),
        ("hz", "1000", "500"),
        ("hz", "0", "1"),
        (
            "client-output-buffer-limit",
            "pubsub 1mb 2k 3 replica 1 2 3",
            "normal 0 0 0 slave 1 2 3 pubsub 1048576 2000 3",
        ),
    ] {
        let set = server.run(&[b"config", b"set", name.as_bytes(), value.as_bytes()]);
        assert_eq!(show(&set), "+OK", "{name} {value}");
        assert_eq!(run(&mut server, &format!("config get {name}")), format!("{{{name}={told}}}"));
    }
    for (name, value, why) in [
        ("save", "1 2 3", "Invalid save parameters"),
        ("save", "0 1", "Invalid save parameters"),
        ("notify-keyspace-events", "q", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."),
        (
            "client-output-buffer-limit",
            "normal 1 2",
            "Wrong number of arguments in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            "foo 1 2 3",
            "Invalid client class specified in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            "pubsub x 2 3",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
    ] {
        let set = server.run(&[b"config", b"set", name.as_bytes(), value.as_bytes()]);
        let error = format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {why}");
        assert_eq!(show(&set), error);
    }
}

/// Settings in which a real server shows how its process is run, or how the test started it.
const OF_THE_PROCESS: &[&str] = &[
    "bind",
    "daemonize",
    "dir",
    "enable-debug-command",
    "jemalloc-bg-thread",
    "logfile",
    "pidfile",
    "port",
    "unixsocket",
];

#[test]
fn there_are_the_settings_of_a_real_server() {
    for dialect in [Dialect::Valkey8, Dialect::Redis7] {
        let Some(mut real) = Real::start(dialect, "the names and defaults of settings") else { continue };
        let read = |reply: Reply| -> BTreeMap<String, String> {
            let Reply::Array(words) = reply else { panic!("a list of settings") };
            words.chunks(2).map(|pair| (show(&pair[0]), show(&pair[1]))).collect()
        };
        let mut theirs = read(real.send(&["CONFIG", "GET", "*"]));
        let Reply::Map(ours) = Server::new(dialect, Interpreter::default()).run(&[b"CONFIG", b"GET", b"*"])
        else {
            panic!("a map of settings")
        };
        let mut ours: BTreeMap<_, _> = ours.iter().map(|(name, value)| (show(name), show(value))).collect();
        for name in OF_THE_PROCESS {
            assert!(theirs.remove(*name).is_some() && ours.remove(*name).is_some(), "{name}");
        }
        assert_eq!(ours, theirs, "as {dialect}");
    }
}

#[test]
fn a_setting_has_its_older_name_too() {
    let mut server = redis();
    run(&mut server, "config set hash-max-ziplist-entries 3");
    assert_eq!(run(&mut server, "config get hash-max-listpack-entries"), "{hash-max-listpack-entries=3}");
    assert_eq!(run(&mut server, "config get hash-max-ziplist-entries"), "{hash-max-ziplist-entries=3}");
}

#[test]
fn values_are_checked_in_a_server_s_words() {
    let mut server = redis();
    for (name, value, why) in [
        ("maxmemory", "x", "argument must be a memory value"),
        ("hz", "x", "argument couldn't be parsed into an integer"),
        ("timeout", "-1", "argument must be between 0 and 2147483647 inclusive"),
        ("maxclients", "0", "argument must be between 1 and 4294967295 inclusive"),
        ("proto-max-bulk-len", "10", "argument must be between 1048576 and 9223372036854775807 inclusive"),
        ("appendfsync", "often", "argument(s) must be one of the following: everysec, always, no"),
        ("databases", "3", "can't set immutable config"),
        ("dir", "/tmp", "can't set protected config"),
        ("lazyfree-lazy-user-del", "maybe", "argument must be 'yes' or 'no'"),
    ] {
        let error = format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {why}");
        assert_eq!(run(&mut server, &format!("config set {name} {value}")), error);
    }
    assert_eq!(run(&mut server, "config rewrite"), "-ERR The server is running without a config file");
}
