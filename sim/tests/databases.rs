//! Sixteen databases, as redis-server 7.0.15 and valkey 8.0.1 have them.

use crate::common::{Server, run};
use valkey_sim::engine::UnixMicros;

/// What the last command wrote, one effect after the other.
fn effects(server: &Server) -> String {
    let one = |effect: valkey_sim::engine::Effect<'_>| {
        effect.args().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect::<Vec<_>>().join(" ")
    };
    server.effects.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[test]
fn each_database_has_keys_of_its_own() {
    let mut server = Server::default();
    run(&mut server, "set k zero");
    assert_eq!(run(&mut server, "select 15"), "+OK");
    assert_eq!(run(&mut server, "get k"), "null");
    run(&mut server, "set k fifteen");
    assert_eq!(run(&mut server, "dbsize"), ":1");
    assert_eq!(run(&mut server, "keys *"), "[k]");
    run(&mut server, "flushdb");
    assert_eq!(run(&mut server, "dbsize"), ":0");
    run(&mut server, "select 0");
    assert_eq!(run(&mut server, "get k"), "zero");
    assert_eq!(server.engine.keyspace().len(), 1);
}

#[test]
fn numbers_of_databases_are_checked() {
    let mut server = Server::default();
    let int = "-ERR value is out of range, value must between -2147483648 and 2147483647";
    for (line, error) in [
        ("select 16", "-ERR DB index is out of range"),
        ("select -1", "-ERR DB index is out of range"),
        ("select x", "-ERR value is not an integer or out of range"),
        ("select 99999999999", int),
        ("move k 0", "-ERR source and destination objects are the same"),
        ("copy k k db 0", "-ERR source and destination objects are the same"),
        ("swapdb x 1", "-ERR invalid first DB index"),
        ("swapdb 1 x", "-ERR invalid second DB index"),
        ("swapdb 1 17", "-ERR DB index is out of range"),
    ] {
        assert_eq!(run(&mut server, line), error, "{line}");
    }
}

#[test]
fn keys_move_and_are_copied_with_their_expiry() {
    let mut server = Server::default();
    run(&mut server, "set k 1 px 10");
    assert_eq!(run(&mut server, "copy k c db 1"), ":1");
    assert_eq!(run(&mut server, "move k 1"), ":1");
    assert_eq!(effects(&server), "MOVE k 1");
    assert_eq!(run(&mut server, "move k 1"), ":0");
    run(&mut server, "select 1");
    assert_eq!(run(&mut server, "pttl k"), ":10");
    assert_eq!(run(&mut server, "pttl c"), ":10");
}

#[test]
fn an_expired_key_is_no_obstacle_in_another_database() {
    let mut server = Server::default();
    run(&mut server, "select 1");
    run(&mut server, "set k old px 10");
    run(&mut server, "select 0");
    run(&mut server, "set k new");
    server.now = UnixMicros(server.now.0 + 11_000);
    assert_eq!(run(&mut server, "move k 1"), ":1");
    // The deletion is the other database's, the move this one's.
    assert_eq!(effects(&server), "SELECT 1; UNLINK k; SELECT 0; MOVE k 1");
}

#[test]
fn effects_say_which_database_they_are_for_when_it_changes() {
    let mut server = Server::default();
    run(&mut server, "set a 1");
    assert_eq!(effects(&server), "SET a 1");
    run(&mut server, "select 2");
    assert_eq!(effects(&server), "");
    run(&mut server, "get a");
    run(&mut server, "set a 1");
    assert_eq!(effects(&server), "SELECT 2; SET a 1");
    run(&mut server, "set a 2");
    assert_eq!(effects(&server), "SET a 2");
    run(&mut server, "multi");
    run(&mut server, "set a 3");
    run(&mut server, "select 0");
    run(&mut server, "set a 4");
    run(&mut server, "exec");
    assert_eq!(effects(&server), "SET a 3; SELECT 0; SET a 4");
    assert_eq!(server.session.db, 0);
}

#[test]
fn a_script_s_choice_ends_with_it() {
    let mut server = Server::default();
    let code = b"redis.call('set', 'a', 1) redis.call('select', 5) redis.call('set', 'a', 2)";
    server.run(&[b"EVAL", code, b"0"]);
    assert_eq!(effects(&server), "SET a 1; SELECT 5; SET a 2");
    assert_eq!(run(&mut server, "get a"), "1");
    run(&mut server, "set a 3");
    assert_eq!(effects(&server), "SELECT 0; SET a 3");
}

#[test]
fn databases_are_exchanged_flushed_and_reaped_together() {
    let mut server = Server::default();
    run(&mut server, "set a 1");
    run(&mut server, "swapdb 0 3");
    assert_eq!(run(&mut server, "dbsize"), ":0");
    run(&mut server, "swapdb 0 3");
    assert_eq!(run(&mut server, "get a"), "1");
    run(&mut server, "select 7");
    run(&mut server, "set b 1 px 5");
    assert!(run(&mut server, "info keyspace").contains("db7:keys=1,expires=1"));
    let now = UnixMicros(server.now.0 + 6_000);
    server.effects.clear();
    assert_eq!(server.engine.reap(now, 10, &mut server.effects), 1);
    assert_eq!(effects(&server), "UNLINK b");
    assert_eq!(run(&mut server, "flushall"), "+OK");
    assert_eq!(run(&mut server, "info keyspace"), "=# Keyspace\r\n");
    assert!(server.engine.keyspace().is_empty());
}
