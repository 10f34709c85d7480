//! `WAIT` and `WAITAOF`: who acknowledges, and what a client that waits is told.

use crate::common::{Server, run, show};
use valkey_sim::{
    engine::{
        Dialect, Effects, UnixMicros,
        clients::Order,
        replication::{Address, ReplicaId},
        unit::Offset,
    },
    lua::Interpreter,
};

fn address(port: u16) -> Address {
    Address { host: "10.0.0.1".to_owned(), port }
}

/// A primary with two replicas, and where its stream ends.
fn primary(dialect: Dialect) -> (Server, Offset) {
    let mut server = Server::new(dialect, Interpreter::default());
    for id in [1, 2] {
        server.engine.attach_replica(ReplicaId(id), address(6379 + id as u16), server.now);
    }
    run(&mut server, "set k v");
    let end = server.engine.replication().offset();
    (server, end)
}

fn look_again(server: &mut Server) -> Option<String> {
    server.engine.resume(&mut server.session, server.now, &mut Effects::default()).map(|reply| show(&reply))
}

fn ms_later(server: &mut Server, ms: u64) {
    server.now = UnixMicros(server.now.0 + ms * 1_000);
}

#[test]
fn wait_blocks_until_enough_replicas_have_acknowledged_what_its_client_wrote() {
    let (mut server, end) = primary(Dialect::Valkey8);
    assert_eq!(run(&mut server, "wait 0 0"), ":0");
    assert!(!server.engine.wants_acknowledgements());
    assert_eq!(run(&mut server, "wait 2 100"), "nothing");
    assert!(server.engine.wants_acknowledgements());
    server.engine.acknowledge(ReplicaId(1), end, None, server.now);
    assert_eq!(server.engine.take_orders(), [Order::LookAgain(server.session.id)]);
    assert_eq!(look_again(&mut server), None, "one of two");
    server.engine.acknowledge(ReplicaId(2), Offset(end.0 - 1), None, server.now);
    assert_eq!(look_again(&mut server), None, "the other has executed all but the last byte");
    server.engine.acknowledge(ReplicaId(2), end, None, server.now);
    assert_eq!(look_again(&mut server), Some(":2".into()));
    assert!(!server.engine.wants_acknowledgements());
    assert_eq!(run(&mut server, "wait 2 100"), ":2", "it is acknowledged already");
}

#[test]
fn wait_answers_how_many_have_acknowledged_when_its_time_is_up() {
    let (mut server, end) = primary(Dialect::Valkey8);
    assert_eq!(run(&mut server, "wait 2 100"), "nothing");
    server.engine.acknowledge(ReplicaId(1), end, None, server.now);
    ms_later(&mut server, 100);
    assert_eq!(look_again(&mut server), None);
    ms_later(&mut server, 1);
    assert_eq!(look_again(&mut server), Some(":1".into()));
}

#[test]
fn wait_is_about_what_its_own_client_wrote() {
    let (mut server, end) = primary(Dialect::Valkey8);
    for id in [1, 2] {
        server.engine.acknowledge(ReplicaId(id), end, None, server.now);
    }
    let mut other = server.engine.connect();
    let set: [&[u8]; 3] = [b"SET", b"k", b"w"];
    server.engine.execute(&mut other, &set, server.now, &mut Effects::default());
    assert_eq!(run(&mut server, "wait 2 0"), ":2", "what the other client wrote is not waited for");
    // Any command of its own moves on to what is written by then.
    run(&mut server, "get k");
    assert_eq!(run(&mut server, "wait 2 0"), "nothing");
}

#[test]
fn a_replica_that_is_gone_is_not_counted_and_one_that_never_was_says_nothing() {
    let (mut server, end) = primary(Dialect::Valkey8);
    server.engine.acknowledge(ReplicaId(9), end, None, server.now);
    server.engine.acknowledge(ReplicaId(1), end, None, server.now);
    assert_eq!(run(&mut server, "wait 1 0"), ":1");
    server.engine.detach_replica(ReplicaId(1));
    assert_eq!(run(&mut server, "wait 1 10"), "nothing");
}

#[test]
fn nothing_waits_in_a_transaction_and_a_script_is_told_what_there_is() {
    for dialect in [Dialect::Valkey8, Dialect::Redis7] {
        let (mut server, end) = primary(dialect);
        server.engine.acknowledge(ReplicaId(1), end, None, server.now);
        run(&mut server, "multi");
        run(&mut server, "set k w");
        run(&mut server, "wait 2 0");
        assert_eq!(run(&mut server, "exec"), "[+OK :1]");
        let told = show(&server.run(&[b"EVAL", b"return redis.call('wait', 2, 0)", b"0"]));
        match dialect {
            Dialect::Valkey8 => assert_eq!(told, ":1"),
            Dialect::Redis7 => {
                assert!(told.starts_with("-ERR This Redis command is not allowed from script"), "{told}");
            }
        }
    }
}

#[test]
fn wait_refuses_what_is_no_count_or_no_time_and_to_wait_on_a_replica() {
    let (mut server, _) = primary(Dialect::Valkey8);
    for (line, error) in [
        ("wait x 1", "-ERR value is not an integer or out of range"),
        ("wait 1 x", "-ERR timeout is not an integer or out of range"),
        ("wait 1 -1", "-ERR timeout is negative"),
        ("waitaof 2 0 0", "-ERR value is out of range, value must between 0 and 1"),
        ("waitaof 0 x 0", "-ERR value is out of range, must be positive"),
        ("waitaof 0 -1 0", "-ERR value is out of range, must be positive"),
        ("waitaof 0 0 -1", "-ERR timeout is negative"),
        ("waitaof 1 0 0", "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."),
    ] {
        assert_eq!(run(&mut server, line), error, "{line}");
    }
    server.engine.follow(address(1));
    for line in ["wait 0 0", "wait x x", "waitaof 0 0 0"] {
        let told = run(&mut server, line);
        assert!(told.contains("cannot be used with replica instances"), "{line}: {told}");
    }
}

#[test]
fn waitaof_counts_files_that_are_synced_here_and_there() {
    let (mut server, end) = primary(Dialect::Valkey8);
    server.engine.acknowledge(ReplicaId(1), end, None, server.now);
    assert_eq!(run(&mut server, "waitaof 0 0 0"), "[:0 :0]");
    assert_eq!(run(&mut server, "waitaof 0 1 10"), "nothing", "it has executed and not synced");
    server.engine.acknowledge(ReplicaId(1), end, Some(end), server.now);
    assert_eq!(look_again(&mut server), Some("[:0 :1]".into()));
    run(&mut server, "config set appendonly yes");
    server.engine.note_synced(Offset(end.0 - 1));
    assert_eq!(run(&mut server, "waitaof 1 1 10"), "nothing");
    server.engine.note_synced(end);
    assert_eq!(look_again(&mut server), Some("[:1 :1]".into()));
    assert_eq!(run(&mut server, "waitaof 1 2 10"), "nothing");
    ms_later(&mut server, 11);
    assert_eq!(look_again(&mut server), Some("[:1 :1]".into()));
}

#[test]
fn redis_7_0_has_no_waitaof() {
    let mut server = Server::new(Dialect::Redis7, Interpreter::default());
    assert!(run(&mut server, "waitaof 0 0 0").starts_with("-ERR unknown command 'waitaof'"));
    let told = show(&server.run(&[b"EVAL", b"return redis.call('waitaof', 0, 0, 0)", b"0"]));
    assert!(told.starts_with("-ERR Unknown Redis command called from script"), "{told}");
}

#[test]
fn a_server_that_becomes_a_replica_ends_what_waits() {
    let (mut server, _) = primary(Dialect::Valkey8);
    run(&mut server, "wait 2 0");
    server.engine.follow(address(1));
    let [Order::Unblock(id, reply)] = &server.engine.take_orders()[..] else { panic!("nobody is told") };
    assert_eq!(*id, server.session.id);
    assert!(show(reply).starts_with("-UNBLOCKED force unblock"), "{reply:?}");
}

#[test]
fn waitaof_of_a_server_without_replicas_is_about_its_own_file() {
    let mut server = Server::new(Dialect::Valkey8, Interpreter::default());
    run(&mut server, "config set appendonly yes");
    run(&mut server, "set k v");
    assert_eq!(run(&mut server, "waitaof 1 0 0"), "nothing");
    server.engine.note_synced(server.engine.replication().offset());
    assert_eq!(look_again(&mut server), Some("[:1 :0]".into()));
}
