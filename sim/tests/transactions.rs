//! Transactions, as redis-server 7.0.15 and valkey 8.0.1 have them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::common::{Server, log::OnLine, run, show};
use valkey_sim::{
    engine::{Dialect, Effects, Reply, Session, UnixMicros},
    lua::Interpreter,
};

/// Runs a line of words for a second connection.
fn other(server: &mut Server, session: &mut Session, line: &str) -> String {
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    show(&server.engine.execute(session, &args, server.now, &mut Effects::default()))
}

/// Runs a line of words.
fn effects(server: &Server) -> Vec<String> {
    server.effects.iter().map(|effect| format!("{effect:?}")).collect()
}

#[test]
fn commands_are_queued_and_executed_together() {
    let mut server = Server::default();
    assert_eq!(run(&mut server, "multi"), "+OK");
    assert_eq!(run(&mut server, "set a 1"), "+QUEUED");
    assert_eq!(run(&mut server, "incr a"), "+QUEUED");
    assert_eq!(run(&mut server, "lpush a x"), "+QUEUED");
    assert!(server.effects.is_empty() && server.engine.keyspace().is_empty());
    assert_eq!(
        run(&mut server, "exec"),
        "[+OK :2 -WRONGTYPE Operation against a key holding the wrong kind of value]"
    );
    // What failed wrote nothing, and the rest is one unit.
    assert_eq!(effects(&server), [r#"["SET", "a", "1"]"#, r#"["INCR", "a"]"#]);
    assert_eq!(run(&mut server, "exec"), "-ERR EXEC without MULTI");
}

#[test]
fn a_refused_command_makes_the_transaction_void() {
    for (wrong, error) in [
        ("nope 1", "-ERR unknown command 'nope', with args beginning with: '1' "),
        ("get", "-ERR wrong number of arguments for 'get' command"),
        ("config foo", "-ERR unknown subcommand 'foo'. Try CONFIG HELP."),
        ("client id 3", "-ERR wrong number of arguments for 'client|id' command"),
        ("discard 1", "-ERR wrong number of arguments for 'discard' command"),
    ] {
        let mut server = Server::default();
        run(&mut server, "multi");
        assert_eq!(run(&mut server, wrong), error);
        assert_eq!(run(&mut server, "set a 1"), "+QUEUED");
        assert_eq!(run(&mut server, "exec"), "-EXECABORT Transaction discarded because of previous errors.");
        assert!(server.engine.keyspace().is_empty());
    }
}

#[test]
fn exec_with_an_argument_ends_the_transaction() {
    let mut server = Server::default();
    run(&mut server, "multi");
    let aborted = "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command";
    assert_eq!(run(&mut server, "exec 1"), aborted);
    assert_eq!(run(&mut server, "discard"), "-ERR DISCARD without MULTI");
}

#[test]
fn multi_and_watch_do_not_nest() {
    let mut valkey = Server::new(Dialect::Valkey8, Interpreter::default());
    for again in ["multi", "watch a"] {
        run(&mut valkey, "multi");
        assert_eq!(run(&mut valkey, again), "-ERR Command not allowed inside a transaction");
        assert_eq!(run(&mut valkey, "exec"), "-EXECABORT Transaction discarded because of previous errors.");
    }
    let mut redis = Server::new(Dialect::Redis7, Interpreter::default());
    run(&mut redis, "multi");
    assert_eq!(run(&mut redis, "multi"), "-ERR MULTI calls can not be nested");
    assert_eq!(run(&mut redis, "watch a"), "-ERR WATCH inside MULTI is not allowed");
    assert_eq!(run(&mut redis, "ping"), "+QUEUED");
    assert_eq!(run(&mut redis, "exec"), "[+PONG]");
}

#[test]
fn a_transaction_fails_when_a_watched_key_was_written() {
    for (write, touched) in [
        ("set w 1", true),
        ("get w", false),
        ("del w", false),
        ("hset h f v", false),
        ("copy v w", true),
        ("copy w v replace", false),
        ("sunionstore w none", false),
        ("rename v w", true),
        ("xgroup create w g 0 mkstream", true),
        ("flushall", false),
        ("swapdb 0 1", false),
    ] {
        let mut server = Server::default();
        let mut second = server.engine.connect();
        run(&mut server, "set v 1");
        run(&mut server, "watch w");
        other(&mut server, &mut second, write);
        run(&mut server, "multi");
        run(&mut server, "ping");
        let expected = if touched { "null" } else { "[+PONG]" };
        assert_eq!(run(&mut server, "exec"), expected, "{write}");
        // Watching ends with it.
        other(&mut server, &mut second, "set w 2");
        run(&mut server, "multi");
        assert_eq!(run(&mut server, "exec"), "[]");
    }
}

#[test]
fn emptying_a_database_touches_the_keys_it_had() {
    for command in ["flushall", "flushdb", "swapdb 0 1", "move w 1"] {
        let mut server = Server::default();
        let mut second = server.engine.connect();
        run(&mut server, "set w 1");
        run(&mut server, "watch w");
        other(&mut server, &mut second, command);
        run(&mut server, "multi");
        assert_eq!(run(&mut server, "exec"), "null", "{command}");
    }
}

#[test]
fn keys_of_another_database_are_other_keys() {
    let mut server = Server::default();
    let mut second = server.engine.connect();
    run(&mut server, "watch w");
    other(&mut server, &mut second, "select 1");
    other(&mut server, &mut second, "set w 1");
    run(&mut server, "multi");
    assert_eq!(run(&mut server, "exec"), "[]");
    run(&mut server, "select 1");
    run(&mut server, "watch w");
    other(&mut server, &mut second, "set w 1");
    run(&mut server, "multi");
    assert_eq!(run(&mut server, "exec"), "null");
}

#[test]
fn a_key_that_expires_is_touched_unless_it_had_expired_before() {
    let mut server = Server::default();
    run(&mut server, "set w 1 px 10");
    run(&mut server, "watch w");
    server.now = UnixMicros(server.now.0 + 11_000);
    run(&mut server, "multi");
    assert_eq!(run(&mut server, "exec"), "null");

    for (then, expected) in [("ping", "[]"), ("get w", "[]"), ("set w 2", "null")] {
        run(&mut server, "set w 1 px 10");
        server.now = UnixMicros(server.now.0 + 11_000);
        run(&mut server, "watch w");
        run(&mut server, then);
        run(&mut server, "multi");
        assert_eq!(run(&mut server, "exec"), expected, "{then}");
    }
}

#[test]
fn one_s_own_writes_count_and_unwatch_discard_and_reset_forget() {
    let mut server = Server::default();
    run(&mut server, "watch w");
    run(&mut server, "set w 1");
    run(&mut server, "multi");
    assert_eq!(run(&mut server, "exec"), "null");
    for forget in ["unwatch", "reset"] {
        run(&mut server, "watch w");
        run(&mut server, "set w 1");
        run(&mut server, forget);
        run(&mut server, "multi");
        assert_eq!(run(&mut server, "exec"), "[]", "{forget}");
    }
    run(&mut server, "multi");
    assert_eq!(run(&mut server, "reset"), "+RESET");
    assert_eq!(run(&mut server, "exec"), "-ERR EXEC without MULTI");
}

#[test]
fn nothing_blocks_and_scripts_run_inside() {
    let mut server = Server::default();
    run(&mut server, "multi");
    run(&mut server, "xread block 0 streams s $");
    server.run(&[b"EVAL", b"return redis.call('incr', KEYS[1])", b"1", b"n"]);
    run(&mut server, "subscribe c");
    assert_eq!(run(&mut server, "exec"), "[null :1 [subscribe c :1]]");
    assert!(server.session.blocked.is_none());
    let inside = server.run(&[b"EVAL", b"return redis.pcall('multi')", b"0"]);
    assert!(matches!(inside, Reply::Error(_)), "a script begins no transaction");
}

/// Measured: DEL counts the key, and both real servers die of the writes ("ASSERTION FAILED … de != NULL").
#[test]
fn a_write_where_an_expired_key_stays_for_a_pause_is_warned_of() {
    for (write, reply, warnings) in
        [("del k", ":1", 0), ("exists k", ":0", 0), ("set other v", "+OK", 0), ("set k v", "+OK", 1)]
    {
        let mut server = Server::default();
        for line in ["set k v px 10", "multi", "client pause 100 write", write, "dbsize", "flushall"] {
            run(&mut server, line);
        }
        server.now = UnixMicros(server.now.0 + 11_000);
        let warned = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&warned);
        let log = OnLine(move || _ = count.fetch_add(1, Ordering::Relaxed));
        let replies = tracing::subscriber::with_default(log, || run(&mut server, "exec"));
        let left = match write {
            "del k" => ":0",
            "set other v" => ":2",
            _ => ":1",
        };
        assert_eq!(replies, format!("[+OK {reply} {left} +OK]"), "{write}");
        assert_eq!(warned.load(Ordering::Relaxed), warnings, "{write}");
        // What is flushed does not come back.
        assert!(server.engine.keyspace().is_empty(), "{write}");
    }
}
