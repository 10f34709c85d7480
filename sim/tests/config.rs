//! Settings, as redis-server 7.0.15 has them.

mod common;

use common::{Server, show};
use valkey_sim::{engine::Dialect, lua::Interpreter};

fn run(server: &mut Server, line: &str) -> String {
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    show(&server.run(&args))
}

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
