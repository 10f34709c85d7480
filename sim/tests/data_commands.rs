//! The data families through the engine's front door: what they answer, what they propagate, and what a scan,
//! a random choice and an expiry promise.

use std::collections::BTreeSet;

use valkey_sim::{
    engine::{Dialect, Effects, Engine, Protocol, Reply, Session, UnixMicros},
    lua::Interpreter,
};

const NOW_MS: u64 = 1_700_000_000_000;

/// An engine, one connection to it, and a clock that stands still unless turned.
struct Server {
    engine: Engine,
    session: Session,
    now_ms: u64,
}

impl Server {
    fn new(dialect: Dialect) -> Self {
        let mut engine = Engine::new(dialect, Interpreter::default());
        let session = engine.connect();
        Self { engine, session, now_ms: NOW_MS }
    }

    /// Runs a command written with spaces and returns the reply and the effects, one a line.
    fn run(&mut self, command: &str) -> (Reply, Vec<String>) {
        let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        let mut effects = Effects::default();
        let now = UnixMicros::from_millis(self.now_ms);
        let reply = self.engine.execute(&mut self.session, &args, now, &mut effects);
        let lines = effects.iter().map(|effect| {
            effect.args().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect::<Vec<_>>().join(" ")
        });
        (reply, lines.collect())
    }

    fn reply(&mut self, command: &str) -> Reply {
        self.run(command).0
    }

    fn effects(&mut self, command: &str) -> Vec<String> {
        self.run(command).1
    }

    fn strings(&mut self, command: &str) -> Vec<String> {
        strings(&self.reply(command))
    }
}

fn strings(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Array(all) | Reply::Set(all) => all.iter().flat_map(strings).collect(),
        Reply::Map(pairs) => pairs.iter().flat_map(|(a, b)| [strings(a), strings(b)].concat()).collect(),
        Reply::Bulk(bytes) => vec![String::from_utf8_lossy(bytes).into_owned()],
        Reply::Int(number) => vec![number.to_string()],
        Reply::Double(number) => vec![number.to_string()],
        other => vec![format!("{other:?}")],
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Checked against the append-only file of redis 7.0.15; `@` stands for the present in milliseconds.
#[test]
fn writes_are_propagated_as_a_server_rewrites_them() {
    let mut server = Server::new(Dialect::Redis7);
    for (command, effects) in [
        ("set a 1 EX 100 NX", &["SET a 1 PXAT @100000"][..]),
        ("set a 2 GET", &["SET a 2"]),
        ("set a 2 NX", &[]),
        ("set a 1 XX KEEPTTL GET", &["SET a 1 XX KEEPTTL"]),
        ("expire a 100 NX", &["PEXPIREAT a @100000 NX"]),
        ("expire a 100 NX", &[]),
        ("expire a -1", &["DEL a"]),
        ("incr n", &["INCR n"]),
        ("incrbyfloat n 1.5", &["SET n 2.5 KEEPTTL"]),
        ("hset h f 1", &["HSET h f 1"]),
        ("hincrbyfloat h f 1.5", &["HSET h f 2.5"]),
        ("hdel h nope", &[]),
        ("hsetnx h f 1", &[]),
        ("getset n 1", &["SET n 1"]),
        ("getex n px 5", &["PEXPIREAT n @5"]),
        ("getex n persist", &["PERSIST n"]),
        ("getex n", &[]),
        ("getdel n", &["DEL n"]),
        ("psetex q 100 v", &["SET q v PXAT @100"]),
        ("rename q r", &["RENAME q r"]),
        ("zadd z 1 a 2 b 3 c", &["ZADD z 1 a 2 b 3 c"]),
        ("zadd z GT 1 a", &[]),
        ("zincrby z 0 a", &[]),
        ("zpopmin z", &["ZPOPMIN z"]),
        ("zmpop 1 z max count 9", &["ZPOPMAX z 2"]),
        ("rpush l a b c", &["RPUSH l a b c"]),
        ("lmpop 1 l left count 2", &["LPOP l 2"]),
        ("ltrim l 0 -1", &[]),
        ("sadd s x", &["SADD s x"]),
        ("spop s", &["SREM s x"]),
        ("zrangestore d z 0 -1", &[]),
        ("del nope", &[]),
    ] {
        let expected: Vec<String> = effects.iter().map(|line| absolute(line)).collect();
        assert_eq!(server.effects(command), expected, "{command}");
    }
    assert_eq!(server.effects("unlink r nope l"), ["UNLINK r nope l"]);
}

/// Replaces `@100` by the present plus 100 ms.
fn absolute(line: &str) -> String {
    let word = |word: &str| match word.strip_prefix('@') {
        Some(ms) => (NOW_MS + ms.parse::<u64>().unwrap()).to_string(),
        None => word.to_owned(),
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn valkey_deletes_what_expired_by_unlink_and_pops_at_once() {
    let mut server = Server::new(Dialect::Valkey8);
    server.run("set k v px 10");
    server.now_ms += 10;
    assert_eq!(server.reply("pttl k"), Reply::Int(0), "visible at its very millisecond");
    server.now_ms += 1;
    assert_eq!(server.run("get k"), (Reply::Null, vec!["UNLINK k".to_owned()]));
    server.run("set k v");
    assert_eq!(server.effects("pexpireat k 1"), ["UNLINK k"]);
    server.run("sadd s a b c d");
    let effects = server.effects("spop s 3");
    assert_eq!(effects.len(), 1);
    assert_eq!(words(&effects[0]).len(), 5);
    server.run("sadd s e");
    assert_eq!(server.effects("spop s 5"), ["UNLINK s"]);
}

#[test]
fn a_hash_lists_its_fields_as_they_were_first_set() {
    let mut server = Server::new(Dialect::Valkey8);
    server.run("hset h a 1 b 2 c 3");
    server.run("hset h a 9");
    assert_eq!(server.strings("hkeys h"), ["a", "b", "c"]);
    server.run("hdel h a");
    server.run("hset h a 1");
    assert_eq!(server.strings("hgetall h"), words("b 2 c 3 a 1"));
}

#[test]
fn a_collection_that_becomes_empty_is_no_key() {
    let mut server = Server::new(Dialect::Valkey8);
    for (fill, empty) in [
        ("hset k a 1", "hdel k a"),
        ("rpush k a", "lpop k"),
        ("rpush k a", "lrem k 0 a"),
        ("rpush k a", "ltrim k 1 0"),
        ("rpush k a", "lmove k other left left"),
        ("sadd k a", "srem k a"),
        ("sadd k a", "spop k"),
        ("zadd k 1 a", "zrem k a"),
        ("zadd k 1 a", "zpopmax k"),
        ("zadd k 1 a", "zremrangebyscore k 1 1"),
    ] {
        server.run(fill);
        server.run(empty);
        assert_eq!(server.reply("exists k"), Reply::Int(0), "{fill}; {empty}");
    }
}

#[test]
fn scores_are_pairs_in_resp3_and_flat_in_resp2() {
    let mut server = Server::new(Dialect::Valkey8);
    server.run("zadd z 1 a 2.5 b");
    let flat = vec![Reply::bulk("a"), Reply::Double(1.0), Reply::bulk("b"), Reply::Double(2.5)];
    assert_eq!(server.reply("zrange z 0 -1 withscores"), Reply::Array(flat.clone()));
    server.session.protocol = Protocol::Resp3;
    let nested = flat.chunks(2).map(|pair| Reply::Array(pair.to_vec())).collect();
    assert_eq!(server.reply("zrange z 0 -1 withscores"), Reply::Array(nested));
    assert_eq!(server.reply("zpopmin z"), Reply::Array(flat[..2].to_vec()), "one pair is never nested");
    let nested = vec![Reply::Array(flat[2..].to_vec())];
    assert_eq!(server.reply("zpopmin z 1"), Reply::Array(nested));
}

/// Scans to the end, deleting an element that was not there at the start of nothing in between each two pages.
fn scan_all(
    server: &mut Server,
    scan: &str,
    mut between: impl FnMut(&mut Server, usize),
) -> BTreeSet<String> {
    let (mut cursor, mut seen) = ("0".to_owned(), BTreeSet::new());
    for page in 0..10_000 {
        let (command, rest) = scan.split_once(" 0").unwrap();
        let found = server.strings(&format!("{command} {cursor}{rest}"));
        seen.extend(found[1..].iter().cloned());
        cursor.clone_from(&found[0]);
        if cursor == "0" {
            return seen;
        }
        between(server, page);
    }
    panic!("{scan} does not end");
}

#[test]
fn a_scan_lists_everything_that_is_there_throughout() {
    for (scan, add, remove) in [
        ("scan 0 count 7", "set # 1", "del #"),
        ("sscan k 0 count 7", "sadd k #", "srem k #"),
        ("hscan k 0 count 7", "hset k # 1", "hdel k #"),
        ("zscan k 0 count 7", "zadd k 1 #", "zrem k #"),
    ] {
        let mut server = Server::new(Dialect::Valkey8);
        for n in 0..1_000 {
            server.run(&add.replace('#', &format!("m{n}")));
        }
        // Every third element goes while the scan is under way, and others come.
        let seen = scan_all(&mut server, scan, |server, page| {
            server.run(&remove.replace('#', &format!("m{}", page * 3)));
            server.run(&add.replace('#', &format!("new{page}")));
        });
        for n in (0..1_000).filter(|n| n % 3 != 0) {
            assert!(seen.contains(&format!("m{n}")), "{scan} missed m{n}");
        }
    }
}

#[test]
fn a_seed_fixes_every_random_choice() {
    let choices = |seed| {
        let mut server = Server::new(Dialect::Valkey8);
        server.engine.seed(seed);
        (0..40).for_each(|n| {
            server.run(&format!("sadd s m{n}"));
        });
        ["spop s 3", "srandmember s -5", "spop s", "srandmember s 4"].map(|command| server.strings(command))
    };
    assert_eq!(choices(1), choices(1));
    assert_ne!(choices(1), choices(2));
}

#[test]
fn ranges_of_a_large_sorted_set_are_exact() {
    let mut server = Server::new(Dialect::Valkey8);
    for n in 0..5_000 {
        server.run(&format!("zadd z {} m{n:05}", (n * 7_919) % 5_000));
    }
    assert_eq!(server.reply("zcount z (100 200"), Reply::Int(100));
    assert_eq!(server.strings("zrange z 4999 0 byscore rev limit 10 2 withscores").len(), 4);
    assert_eq!(server.reply("zremrangebyscore z -inf (2500"), Reply::Int(2_500));
    assert_eq!(server.reply("zcard z"), Reply::Int(2_500));
    assert_eq!(server.strings("zrangebyscore z -inf +inf withscores limit 0 1")[1], "2500");
}
