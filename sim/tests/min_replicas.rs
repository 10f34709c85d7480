//! `min-replicas-to-write` and `min-replicas-max-lag`, as valkey 8.0.1 and redis 7.0.15 have them: `tests/replicas.rs`
//! asks them.

use crate::common::{Server, eval, run, show};
use valkey_sim::{
    engine::{
        Dialect, UnixMicros,
        replication::{Address, ReplicaId},
        unit::Offset,
    },
    lua::Interpreter,
};

const REFUSED: &str = "-NOREPLICAS Not enough good replicas to write.";
const LIBRARY: &str = "#!lua name=l\n\
    redis.register_function('writes', function() return redis.call('set', 'a', '1') end)\n\
    redis.register_function{function_name='reads', flags={'no-writes'}, \
      callback=function() return redis.call('get', 'k') end}";

/// A server with a key `k` that wants one replica, and has none.
fn alone(dialect: Dialect) -> Server {
    let mut server = Server::new(dialect, Interpreter::default());
    run(&mut server, "set k v");
    assert_eq!(show(&server.load(LIBRARY)), "l");
    run(&mut server, "config set min-replicas-to-write 1");
    server
}

fn attach(server: &mut Server, id: u64) {
    let address = Address { host: "10.0.0.1".to_owned(), port: 6379 };
    server.engine.attach_replica(ReplicaId(id), address, server.now);
}

#[test]
fn without_a_replica_nothing_is_written_and_reads_go_on() {
    for dialect in [Dialect::Valkey8, Dialect::Redis7] {
        let mut server = alone(dialect);
        for line in [
            "set k w",
            "del nothing",
            "getex k",
            "flushall",
            "function delete l",
            "fcall writes 0",
            "fcall_ro writes 0",
        ] {
            assert_eq!(run(&mut server, line), REFUSED, "{line}");
            assert!(server.effects.is_empty(), "{line}");
        }
        for (line, answer) in
            [("get k", "v"), ("fcall reads 0", "v"), ("fcall_ro reads 0", "v"), ("publish c m", ":0")]
        {
            assert_eq!(run(&mut server, line), answer, "{line}");
        }
        assert_eq!(run(&mut server, "set k"), "-ERR wrong number of arguments for 'set' command");
        run(&mut server, "config set min-replicas-max-lag 0");
        assert_eq!(run(&mut server, "set k w"), "+OK", "a lag of 0 asks for nothing");
    }
}

#[test]
fn a_script_that_declares_nothing_is_refused_where_it_writes() {
    let mut server = alone(Dialect::Valkey8);
    assert_eq!(eval(&mut server, "return redis.call('get', 'k')"), "v");
    let refused = eval(&mut server, "return redis.call('set', 'k', 1)");
    assert!(refused.starts_with(&format!("{REFUSED} script: ")), "{refused}");
    assert_eq!(eval(&mut server, "return redis.pcall('set', 'k', 1)"), REFUSED);
    assert_eq!(eval(&mut server, "#!lua\nreturn 1"), REFUSED);
    assert_eq!(eval(&mut server, "#!lua flags=no-writes\nreturn 1"), ":1");
}

#[test]
fn a_transaction_that_would_write_is_not_executed() {
    let mut server = alone(Dialect::Valkey8);
    run(&mut server, "multi");
    assert_eq!(run(&mut server, "set k w"), REFUSED);
    assert_eq!(run(&mut server, "exec"), "-EXECABORT Transaction discarded because of previous errors.");
    attach(&mut server, 1);
    run(&mut server, "multi");
    assert_eq!(run(&mut server, "set k w"), "+QUEUED");
    server.engine.detach_replica(ReplicaId(1));
    let aborted = format!("-EXECABORT Transaction discarded because of: {}", &REFUSED[1..]);
    assert_eq!(run(&mut server, "exec"), aborted);
}

#[test]
fn a_replica_that_says_nothing_is_good_for_as_long_as_it_may_lag() {
    let mut server = alone(Dialect::Valkey8);
    run(&mut server, "config set min-replicas-max-lag 1");
    // In the middle of a second.
    server.now = UnixMicros(1_700_000_000_500_000);
    attach(&mut server, 1);
    let at = |server: &mut Server, micros: u64| {
        server.now = UnixMicros(micros);
        run(server, "set k w")
    };
    assert_eq!(at(&mut server, 1_700_000_001_999_999), "+OK", "it lags one second");
    assert_eq!(at(&mut server, 1_700_000_002_000_000), REFUSED, "it lags two");
    server.engine.acknowledge(ReplicaId(1), Offset(0), None, server.now);
    assert_eq!(at(&mut server, 1_700_000_003_999_999), "+OK");
    assert!(run(&mut server, "info replication").contains("min_slaves_good_slaves:1\r\nslave0:"));
    run(&mut server, "config set min-replicas-to-write 2");
    assert_eq!(run(&mut server, "set k w"), REFUSED, "one of two");
    attach(&mut server, 2);
    assert_eq!(run(&mut server, "set k w"), "+OK");
}

#[test]
fn a_replica_says_that_it_is_one_and_wants_none_of_its_own() {
    let mut server = alone(Dialect::Valkey8);
    server.engine.follow(Address { host: "10.0.0.1".to_owned(), port: 6379 });
    assert!(run(&mut server, "set k w").starts_with("-READONLY"));
    run(&mut server, "config set replica-read-only no");
    assert_eq!(run(&mut server, "set k w"), "+OK");
}
