//! What a server tells about its commands, its clients and itself, as valkey 8.0.1 and redis 7.0.15 tell it.

use crate::common::{Server, show};
use crate::support::{real::Real, server::Server as _};
use valkey_sim::{
    engine::{Dialect, Reply},
    lua::Interpreter,
};

fn run(server: &mut Server, line: &str) -> String {
    show(&ask(server, line))
}

fn ask(server: &mut Server, line: &str) -> Reply {
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    server.run(&args)
}

fn servers() -> [Server; 2] {
    [Dialect::Valkey8, Dialect::Redis7].map(|dialect| Server::new(dialect, Interpreter::default()))
}

#[test]
fn getkeys_finds_the_keys_of_any_command() {
    for mut server in servers() {
        for (command, keys) in [
            ("get a", "[[a ~[+RO +access]]]"),
            ("set a b", "[[a ~[+OW +update]]]"),
            ("set a b get", "[[a ~[+RW +access +update]]]"),
            ("mset a b c d", "[[a ~[+OW +update]] [c ~[+OW +update]]]"),
            ("copy a b", "[[a ~[+RO +access]] [b ~[+OW +update]]]"),
            ("object encoding k", "[[k ~[+RO]]]"),
            ("eval x 0", "[]"),
            ("eval x 2 a b c", "[[a ~[+RW +access +update]] [b ~[+RW +access +update]]]"),
            ("zunionstore d 2 a b", "[[d ~[+OW +update]] [a ~[+RO +access]] [b ~[+RO +access]]]"),
            ("xread count 1 streams a b 1 2", "[[a ~[+RO +access]] [b ~[+RO +access]]]"),
            ("xreadgroup group g c streams a 1", "[[a ~[+RO +access]]]"),
            ("zunionstore d 5 a b", "-ERR Invalid arguments specified for command"),
            ("xread count 1 streams a", "-ERR Invalid arguments specified for command"),
            ("xread count 1 block 1", "-ERR Invalid arguments specified for command"),
            ("get a b", "-ERR Invalid number of arguments specified for command"),
            ("ping a", "-ERR The command has no key arguments"),
            ("client id", "-ERR The command has no key arguments"),
            ("foo a", "-ERR Invalid command specified"),
        ] {
            let dialect = server.engine.dialect();
            let answer = run(&mut server, &format!("command getkeysandflags {command}"));
            assert_eq!(answer, keys, "{command} as {dialect}");
        }
    }
    let [mut valkey, mut redis] = servers();
    assert_eq!(run(&mut valkey, "command getkeys ping"), "-ERR The command has no key arguments");
    assert_eq!(
        run(&mut redis, "command getkeys ping"),
        "-ERR wrong number of arguments for 'command|getkeys' command"
    );
}

#[test]
fn command_list_filters_by_pattern_category_and_module() {
    for mut server in servers() {
        let all = run(&mut server, "command list");
        assert!(all.contains(" get ") && all.contains(" config|get ") && all.contains(" sim|clock "));
        assert_eq!(run(&mut server, "command list filterby pattern CONFIG|G*"), "[config|get]");
        let transactions = run(&mut server, "command list filterby aclcat TRANSACTION");
        assert_eq!(transactions, "[multi exec discard watch unwatch]");
        assert_eq!(run(&mut server, "command list filterby aclcat nothing"), "[]");
        assert_eq!(run(&mut server, "command list filterby module nothing"), "[]");
        assert_eq!(run(&mut server, "command list filterby size 3"), "-ERR syntax error");
    }
}

#[test]
fn commands_are_described_whole() {
    for mut server in servers() {
        assert_eq!(
            run(&mut server, "command info OBJECT|ENCODING nosuch"),
            "[[object|encoding :3 ~[+readonly] :2 :2 :1 ~[+@keyspace +@read +@slow] \
             ~[nondeterministic_output] ~[{flags=~[+RO] begin_search={type=index spec={index=:2}} \
             find_keys={type=range spec={lastkey=:0 keystep=:1 limit=:0}}}] ~[]] null]"
        );
        assert!(run(&mut server, "command info xread").contains("+blocking"));
        let docs = run(&mut server, "command docs get nosuch object|encoding");
        assert!(docs.starts_with("{get={summary="), "{docs}");
        assert!(docs.contains(" object|encoding={summary="), "{docs}");
        let own = run(&mut server, "command docs sim");
        assert!(own.contains("sim|clock={summary=Returns or turns the server's clock."), "{own}");
    }
}

#[test]
fn a_subcommand_is_known_in_one_dialect_and_not_in_the_other() {
    let [mut valkey, mut redis] = servers();
    assert_eq!(run(&mut valkey, "client setinfo lib-name x"), "+OK");
    assert_eq!(
        run(&mut redis, "client setinfo lib-name x"),
        "-ERR unknown subcommand 'setinfo'. Try CLIENT HELP."
    );
}

#[test]
fn every_container_has_help_and_refuses_unknown_subcommands_when_they_are_queued() {
    for mut server in servers() {
        for container in [
            "client", "command", "config", "function", "latency", "memory", "module", "object", "pubsub",
            "script", "sim", "xgroup", "xinfo",
        ] {
            let help = run(&mut server, &format!("{container} help"));
            let name = container.to_ascii_uppercase();
            assert!(help.starts_with(&format!("[+{name} <subcommand>")), "{help}");
            run(&mut server, "multi");
            let error = format!("-ERR unknown subcommand 'nosuch'. Try {name} HELP.");
            assert_eq!(run(&mut server, &format!("{container} nosuch")), error);
            assert!(run(&mut server, "exec").starts_with("-EXECABORT"));
        }
    }
}

/// The names of the fields of `INFO everything`, section by section; not of those that list what happened.
fn info_fields(text: &str) -> Vec<String> {
    let lists = ["cmdstat_", "errorstat_", "latency_percentiles_", "db", "listener"];
    let lines = text.lines().filter(|line| !lists.iter().any(|list| line.starts_with(list)));
    lines.map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn info_has_the_fields_of_a_real_server() {
    for dialect in [Dialect::Valkey8, Dialect::Redis7] {
        let Some(mut real) = Real::start(dialect, "the fields of INFO") else { continue };
        for sections in [&["INFO"][..], &["INFO", "everything"], &["INFO", "CPU", "nosuch", "modules"]] {
            let Reply::Bulk(theirs) = real.send(sections) else { panic!("INFO is text") };
            let args: Vec<&[u8]> = sections.iter().map(|arg| arg.as_bytes()).collect();
            let Reply::Verbatim(_, ours) = Server::new(dialect, Interpreter::default()).run(&args) else {
                panic!("INFO is text")
            };
            let [ours, theirs] = [ours, theirs].map(|text| info_fields(&String::from_utf8_lossy(&text)));
            assert_eq!(ours, theirs, "{sections:?} as {dialect}");
        }
    }
}

#[test]
fn info_counts_calls_failures_and_errors() {
    for mut server in servers() {
        for line in [
            "set k v",
            "get",
            "lpush k x",
            "client nosuch",
            "nosuch",
            "config get port",
            "multi",
            "get",
            "exec",
        ] {
            run(&mut server, line);
        }
        server.run(&[b"EVAL", b"redis.pcall('lpush', 'k', 'x') return redis.call('lpush', 'k', 'x')", b"0"]);
        let info = run(&mut server, "info commandstats errorstats stats");
        for line in [
            "cmdstat_set:calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0",
            "cmdstat_get:calls=0,usec=0,usec_per_call=0.00,rejected_calls=2,failed_calls=0",
            "cmdstat_lpush:calls=3,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=3",
            "cmdstat_config|get:calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0",
            "cmdstat_eval:calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=1",
            "errorstat_ERR:count=4",
            "errorstat_EXECABORT:count=1",
            "errorstat_WRONGTYPE:count=3",
            "total_error_replies:8",
        ] {
            assert!(info.lines().any(|found| found == line), "{line} in {info}");
        }
        run(&mut server, "config resetstat");
        let info = run(&mut server, "info errorstats stats");
        assert!(!info.contains("errorstat_") && info.contains("total_error_replies:0"), "{info}");
    }
}
