//! What a replica answers, as valkey 8.0.1 and redis 7.0.15 do: `tests/replicas.rs` asks them.

use crate::common::{Server, eval, run, show};
use valkey_sim::{
    engine::{
        Dialect, UnixMicros,
        replication::{Address, LinkState, ReplicaId},
    },
    lua::Interpreter,
};

const DIALECTS: [Dialect; 2] = [Dialect::Valkey8, Dialect::Redis7];
const READ_ONLY: &str = "-READONLY You can't write against a read only replica.";
const LIBRARY: &str = "#!lua name=l\n\
    redis.register_function('writes', function() return redis.call('set', 'a', '1') end)\n\
    redis.register_function('only_reads', function() return redis.call('get', 'k') end)\n\
    redis.register_function{function_name='oom', flags={'allow-oom'}, \
      callback=function() return redis.call('set', 'a', '1') end}\n\
    redis.register_function{function_name='reads', flags={'no-writes'}, \
      callback=function() return redis.call('get', 'k') end}";

fn address(port: u16) -> Address {
    Address { host: "10.0.0.1".to_owned(), port }
}

/// A replica with a key `k` and a key `gone` that has expired.
fn replica(dialect: Dialect) -> Server {
    let mut server = Server::new(dialect, Interpreter::default());
    run(&mut server, "set k v");
    run(&mut server, "set gone v px 5");
    assert_eq!(show(&server.load(LIBRARY)), "l");
    server.now = UnixMicros(server.now.0 + 6_000);
    server.engine.follow(address(6379));
    server.engine.set_link(LinkState::Up);
    server
}

#[test]
fn a_replica_takes_no_writes_and_reads_go_on() {
    for dialect in DIALECTS {
        let mut server = replica(dialect);
        for line in [
            "set k w",
            "del nothing",
            "getex k",
            "flushall",
            "swapdb 0 1",
            "xreadgroup group g c streams s >",
            "function delete l",
            "bzpopmin q 1",
        ] {
            assert_eq!(run(&mut server, line), READ_ONLY, "{line}");
            assert!(server.effects.is_empty(), "{line}");
        }
        assert_eq!(run(&mut server, "set k"), "-ERR wrong number of arguments for 'set' command");
        assert_eq!(run(&mut server, "get k"), "v");
        assert_eq!(run(&mut server, "publish c m"), ":0");
        server.engine.lead();
        assert_eq!(run(&mut server, "set k w"), "+OK");
    }
}

#[test]
fn a_function_is_refused_before_it_begins_unless_it_declared_that_it_writes_nothing() {
    for dialect in DIALECTS {
        let mut server = replica(dialect);
        for function in ["writes", "WRITES", "only_reads", "oom"] {
            assert_eq!(run(&mut server, &format!("fcall {function} 0")), READ_ONLY);
            assert_eq!(run(&mut server, &format!("fcall_ro {function} 0")), READ_ONLY);
        }
        assert_eq!(run(&mut server, "fcall reads 0"), "v");
        assert_eq!(run(&mut server, "fcall_ro reads 0"), "v");
        assert_eq!(run(&mut server, "fcall nothing 0"), "-ERR Function not found");
    }
}

#[test]
fn a_script_that_declares_nothing_is_refused_where_it_writes() {
    for dialect in DIALECTS {
        let mut server = replica(dialect);
        assert_eq!(eval(&mut server, "return redis.call('get', 'k')"), "v");
        let refused = eval(&mut server, "return redis.call('set', 'k', 1)");
        assert!(refused.starts_with(&format!("{READ_ONLY} script: ")), "{refused}");
        assert_eq!(eval(&mut server, "return redis.pcall('set', 'k', 1)"), READ_ONLY);
        assert_eq!(eval(&mut server, "return redis.call('publish', 'c', 'm')"), ":0");
        assert_eq!(eval(&mut server, "#!lua\nreturn 1"), READ_ONLY);
        assert_eq!(eval(&mut server, "#!lua flags=allow-oom\nreturn 1"), READ_ONLY);
        assert_eq!(eval(&mut server, "#!lua flags=no-writes\nreturn redis.call('get', 'k')"), "v");
    }
}

#[test]
fn a_write_makes_a_transaction_void_and_one_that_was_queued_before_is_not_executed() {
    for dialect in DIALECTS {
        let mut server = replica(dialect);
        run(&mut server, "multi");
        assert_eq!(run(&mut server, "get k"), "+QUEUED");
        assert_eq!(run(&mut server, "set k w"), READ_ONLY);
        assert_eq!(run(&mut server, "exec"), "-EXECABORT Transaction discarded because of previous errors.");
        for queued in ["set k w", "fcall writes 0"] {
            server.engine.lead();
            run(&mut server, "multi");
            assert_eq!(run(&mut server, queued), "+QUEUED");
            server.engine.follow(address(6379));
            assert_eq!(
                run(&mut server, "exec"),
                format!("-EXECABORT Transaction discarded because of: {}", &READ_ONLY[1..])
            );
        }
        run(&mut server, "multi");
        run(&mut server, "fcall reads 0");
        assert_eq!(run(&mut server, "exec"), "[v]");
    }
}

#[test]
fn an_expired_key_is_hidden_and_stays_until_the_primary_says_so() {
    for dialect in DIALECTS {
        let mut server = replica(dialect);
        for (line, answer) in [
            ("get gone", "null"),
            ("exists gone k", ":1"),
            ("ttl gone", ":-2"),
            ("type gone", "+none"),
            ("keys *", "[k]"),
            ("dbsize", ":2"),
            ("scan 0", "[0 [k]]"),
            ("randomkey", "k"),
            ("dbsize", ":2"),
        ] {
            assert_eq!(run(&mut server, line), answer, "{line}");
            assert!(server.effects.is_empty(), "{line} writes");
        }
        let in_one = "return {redis.call('exists', 'gone'), redis.call('dbsize')}";
        assert_eq!(show(&server.run(&[b"EVAL_RO", in_one.as_bytes(), b"0"])), "[:0 :2]");
        assert_eq!(
            (server.engine.next_expiry(), server.engine.reap(server.now, 9, &mut server.effects)),
            (None, 0)
        );
        let expired = |server: &mut Server| run(server, "info stats").contains("expired_keys:0\r\n");
        assert!(expired(&mut server), "none expired here");
        server.engine.lead();
        assert_eq!((run(&mut server, "get gone"), run(&mut server, "dbsize")), ("null".into(), ":1".into()));
        assert!(!expired(&mut server), "a primary removes what it finds expired");
    }
}

#[test]
fn memory_is_the_primarys_to_watch() {
    let mut server = replica(Dialect::Valkey8);
    run(&mut server, "config set maxmemory 1");
    assert_eq!(run(&mut server, "set k w"), READ_ONLY);
    run(&mut server, "config set replica-ignore-maxmemory no");
    assert!(run(&mut server, "set k w").starts_with("-OOM"));
}

#[test]
fn a_writable_replica_takes_writes() {
    let mut server = replica(Dialect::Valkey8);
    run(&mut server, "config set replica-read-only no");
    assert_eq!(run(&mut server, "set k w"), "+OK");
    assert_eq!(run(&mut server, "set gone w"), "+OK");
    assert_eq!((run(&mut server, "get gone"), run(&mut server, "dbsize")), ("w".into(), ":2".into()));
}

#[test]
fn role_and_info_tell_whom_it_follows_and_who_follows_it() {
    let mut server = Server::new(Dialect::Valkey8, Interpreter::default());
    assert_eq!(run(&mut server, "role"), "[master :0 []]");
    server.engine.attach_replica(ReplicaId(7), address(6380), server.now);
    run(&mut server, "set k v");
    assert_eq!(run(&mut server, "role"), "[master :50 [[10.0.0.1 6380 0]]]");
    let info = run(&mut server, "info replication");
    for line in [
        "role:master",
        "connected_slaves:1",
        "slave0:ip=10.0.0.1,port=6380,state=online,offset=0,lag=0,type=replica",
        "master_repl_offset:50",
        "repl_backlog_active:1",
        "repl_backlog_first_byte_offset:1",
        "repl_backlog_histlen:50",
    ] {
        assert!(info.contains(&format!("{line}\r\n")), "{line} in {info}");
    }
    server.engine.detach_replica(ReplicaId(7));
    server.engine.follow(address(6381));
    assert_eq!(run(&mut server, "role"), "[slave 10.0.0.1 :6381 connect :-1]");
    server.engine.set_link(LinkState::Up);
    assert_eq!(run(&mut server, "role"), "[slave 10.0.0.1 :6381 connected :50]");
    server.engine.set_link(LinkState::Down(Some(server.now)));
    server.now = UnixMicros(server.now.0 + 2_000_000);
    let info = run(&mut server, "info replication");
    for line in
        ["role:slave", "master_port:6381", "master_link_status:down", "master_link_down_since_seconds:2"]
    {
        assert!(info.contains(&format!("{line}\r\n")), "{line} in {info}");
    }
    server.engine.lead();
    let info = run(&mut server, "info replication");
    assert!(info.contains("second_repl_offset:51\r\n"), "{info}");
}
