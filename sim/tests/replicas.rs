//! Replicas against real servers: the stream is theirs byte for byte, a replica that is cut off anywhere and promoted holds
//! the same, and both kinds of servers answer the same as replicas, without enough replicas, and about `WAIT`.

use crate::support::{
    cut::CutLink,
    dump::{self, dump},
    real::Real,
    server::{Args, Server},
    simulated::Simulated,
    transcript::{self, START, Step},
};
use valkey_sim::{
    engine::{
        Dialect, Effects, Engine, Reply, UnixMicros,
        replication::{Address, LinkState, ReplicaId},
        unit,
    },
    lua::Interpreter,
    replica::Replica,
};

const DIALECTS: [Dialect; 2] = [Dialect::Valkey8, Dialect::Redis7];

/// A function that writes as many keys as it is told to, and others that differ in what they declared.
const LIBRARY: &str = "#!lua name=many\n\
    redis.register_function('many', function(keys, args) \
      for n = 1, args[1] do redis.call('SET', 'many:' .. n, args[2], 'PX', 1000 * n) end return args[1] end)\n\
    redis.register_function('only_reads', function() return redis.call('get', 'k') end)\n\
    redis.register_function{function_name='oom', flags={'allow-oom'}, \
      callback=function() return redis.call('set', 'a', '1') end}\n\
    redis.register_function{function_name='reads', flags={'no-writes'}, \
      callback=function() return redis.call('get', 'k') end}\n\
    redis.register_function{function_name='publishes', flags={'no-writes'}, \
      callback=function() return redis.call('publish', 'c', 'm') end}";

fn words(line: &str) -> Args {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn load() -> Args {
    [b"FUNCTION", &b"LOAD"[..], LIBRARY.as_bytes()].map(<[u8]>::to_vec).to_vec()
}

fn address(port: u16) -> Address {
    Address { host: "127.0.0.1".to_owned(), port }
}

/// The lives of some grants, as the published library writes them, and what else makes units of many effects.
fn steps(dialect: Dialect) -> Vec<Step> {
    let folder = format!("{}/../fixtures/transcripts/{dialect}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(format!("{folder}/grant_lives.txt")).expect("the transcript is there");
    let mut reader = transcript::Reader::default();
    let mut steps: Vec<Step> = text.lines().filter_map(|line| reader.step(line)).collect();
    let later = |ms: u64| Step::Clock(UnixMicros(START.0 + 600_000_000 + ms * 1_000));
    steps.extend([later(0), Step::Command(load()), Step::Command(words("FCALL many 0 40 x"))]);
    // Some of them expire, and are found so: by a command of its own, and within a call.
    steps.extend([
        later(3_500),
        Step::Command(words("GET many:1")),
        Step::Command(words("FCALL many 0 5 y")),
    ]);
    for line in [
        "MULTI",
        "SET in:one 1",
        "INCRBY in:one 5",
        "ZADD in:two 1 a 2 b",
        "EXEC",
        "PUBLISH channel message",
        "SELECT 5",
        "FCALL many 0 3 z",
        "SELECT 0",
        "XADD stream * field value",
        "SADD set a b c",
        "SPOP set",
        "FUNCTION DELETE many",
        "SET last 1",
    ] {
        steps.push(Step::Command(words(line)));
    }
    steps
}

fn run(server: &mut impl Server, steps: &[Step]) {
    server.set_clock(START);
    for step in steps {
        match step {
            Step::Clock(now) => server.set_clock(*now),
            Step::Library(args) | Step::Command(args) => _ = server.send(args),
            Step::Other(args) => _ = server.send_over_other(args),
        }
    }
}

/// A primary of the engine that has done the steps, its replica that was sent all of it, and the stream as bytes.
fn simulated(dialect: Dialect, steps: &[Step]) -> (Simulated, Replica, Vec<u8>) {
    let mut primary = Simulated::new(dialect);
    let empty = Engine::new(dialect, Interpreter::default());
    let mut replica = Replica::new(ReplicaId(1), address(2), empty);
    replica.synchronise(&mut primary.engine, address(1), START).expect("an empty server synchronises");
    let start = replica.sent();
    run(&mut primary, steps);
    replica.send(&primary.engine).expect("the stream is kept");
    let mut bytes = Vec::new();
    let units = primary.engine.replication().units_after(start).expect("the stream is kept");
    for (index, unit) in units.enumerate() {
        assert_eq!(unit.start.0 - start.0, bytes.len() as u64, "offsets are bytes");
        unit::encode(&unit.effects, (index == 0).then_some(0), dialect, |_| true, &mut bytes);
    }
    assert_eq!(replica.sent().0 - start.0, bytes.len() as u64);
    (primary, replica, bytes)
}

/// A real primary, which does not ping its replicas and writes its snapshots to the disk: these say how long they are.
fn real_primary(dialect: Dialect, what: &str) -> Option<Real> {
    let mut primary = Real::start(dialect, what)?;
    for (name, value) in [("repl-diskless-sync", "no"), ("repl-ping-replica-period", "2000000")] {
        assert_eq!(primary.send(&["CONFIG", "SET", name, value]), Reply::OK);
    }
    Some(primary)
}

fn near(bytes: &[u8], at: usize) -> String {
    bytes[at.saturating_sub(80).min(bytes.len())..bytes.len().min(at + 80)].escape_ascii().to_string()
}

/// Waits until as much of the stream has come as ours has, and compares.
fn compare_streams(dialect: Dialect, link: &CutLink, ours: &[u8]) {
    let start = std::time::Instant::now();
    let mut theirs = link.stream();
    while theirs.len() < ours.len() && start.elapsed().as_secs() < 10 {
        std::thread::yield_now();
        theirs = link.stream();
    }
    let parts = theirs.iter().zip(ours).position(|(their, our)| their != our);
    if let Some(at) = parts.or((theirs.len() != ours.len()).then_some(theirs.len().min(ours.len()))) {
        let (theirs, ours) = (near(&theirs, at), near(ours, at));
        panic!("{dialect}: the streams part at byte {at}\n  real: {theirs}\n  ours: {ours}");
    }
}

#[test]
fn a_replica_that_is_cut_off_anywhere_and_promoted_holds_what_a_real_one_does() {
    for dialect in DIALECTS {
        let Some(mut primary) = real_primary(dialect, "replicas that are cut off") else { continue };
        let steps: Vec<Step> = steps(dialect).into_iter().filter(|step| !is_random(step)).collect();
        let (_, whole, ours) = simulated(dialect, &steps);
        let ours_start = whole.applied().0;
        let call = unit_of(&whole, &ours, "many:40");
        // Over the whole length, and around and within the unit of one function call that writes forty keys.
        let over_all = (1..=6).map(|part| ours.len() * part / 6 - part % 3);
        let cuts = over_all.chain([call.start, call.start + 1, call.end - 1, call.end]);
        for cut in cuts {
            for reset in [&["FLUSHALL"][..], &["FUNCTION", "FLUSH"], &["SELECT", "0"]] {
                assert_eq!(primary.send(reset), Reply::OK);
            }
            let mut replica =
                Real::start(dialect, "replicas that are cut off").expect("there was one before");
            let link = CutLink::new(primary.socket(), cut);
            replica.follow(&link.port());
            run(&mut primary, &steps);
            compare_streams(dialect, &link, &ours);
            replica.wait_for_field("slave_read_repl_offset", &(link.start() + cut as u64).to_string());

            let mut cut_off = whole.clone();
            cut_off.receive(ours_start + cut as u64);
            cut_off.apply_all(&mut Effects::default()).expect("what a primary did can be done");
            let half = usize::from(cut_off.received() > cut_off.applied());
            assert!(cut_off.break_off(START) >= half, "half a unit is lost");
            let applied: u64 = replica.info_field("slave_repl_offset").parse().unwrap();
            let ours_applied = cut_off.applied().0 - ours_start;
            let alone = &ours[ours_applied as usize..(applied - link.start()) as usize];
            assert!(
                is_select(alone),
                "{dialect}: cut at byte {cut}, executed beyond: {}",
                alone.escape_ascii()
            );

            assert_eq!(replica.send(&["REPLICAOF", "NO", "ONE"]), Reply::OK);
            let mut promoted = Simulated::new(dialect);
            promoted.engine = cut_off.promote();
            promoted.session = promoted.engine.connect();
            // It has a clock of its own: by one, the last keys are there, by the other some have expired.
            for later_ms in [0, 610_000] {
                let now = UnixMicros(START.0 + later_ms * 1_000);
                replica.set_clock(now);
                promoted.set_clock(now);
                for question in ["FCALL many 0 3 new", "FCALL ff_version 0", "FCALL_RO reads 0", "DBSIZE"] {
                    let question = words(question);
                    let (their, our) = (replica.send(&question), promoted.send(&question));
                    assert_eq!(their, our, "{dialect}: cut at byte {cut}: {:?}", question[1].escape_ascii());
                }
                for database in ["0", "5"] {
                    replica.send(&["SELECT", database]);
                    promoted.send(&["SELECT", database]);
                    let parted = dump::differences(&dump(&mut replica), &dump(&mut promoted));
                    assert!(parted.is_empty(), "{dialect}: cut at byte {cut}\n{}", parted.join("\n"));
                }
                replica.send(&["SELECT", "0"]);
                promoted.send(&["SELECT", "0"]);
            }
        }
    }
}

/// Whether there is nothing, or only the choice of a database: a command of its own there, and part of the unit here.
fn is_select(bytes: &[u8]) -> bool {
    bytes.is_empty() || (bytes.len() == 23 && bytes.starts_with(b"*2\r\n$6\r\nSELECT\r\n"))
}

/// Which members go is chosen by each server for itself.
fn is_random(step: &Step) -> bool {
    matches!(step, Step::Command(args) if args[0] == b"SPOP")
}

/// Where in the stream the unit is that writes `word` first.
fn unit_of(replica: &Replica, stream: &[u8], word: &str) -> std::ops::Range<usize> {
    let at = stream.windows(word.len()).position(|bytes| bytes == word.as_bytes()).expect("it is written");
    let mut replica = replica.clone();
    let start = replica.applied().0;
    replica.receive(u64::MAX);
    loop {
        let unit = replica.apply_next(&mut Effects::default()).unwrap().expect("it is in a unit");
        let (from, to) = ((unit.start.0 - start) as usize, (unit.end.0 - start) as usize);
        if (from..to).contains(&at) {
            return from..to;
        }
    }
}

#[test]
fn an_empty_primary_wipes_its_replica_as_a_real_one_does() {
    for dialect in DIALECTS {
        let Some(mut empty) = real_primary(dialect, "a replica of an empty primary") else { continue };
        let mut replica =
            Real::start(dialect, "a replica of an empty primary").expect("there was one before");
        let mut ours = Simulated::new(dialect);
        for server in [&mut replica as &mut dyn Speaks, &mut ours] {
            server.say(&load());
            server.say(&words("SET own 1"));
        }
        let link = CutLink::new(empty.socket(), usize::MAX);
        replica.follow(&link.port());
        let mut primary = Simulated::new(dialect);
        let mut wiped = Replica::new(ReplicaId(1), address(2), ours.engine.clone());
        wiped.synchronise(&mut primary.engine, address(1), START).unwrap();
        ours.engine = wiped.engine().clone();
        for question in ["GET own", "DBSIZE", "FCALL_RO reads 0", "FCALL many 0 1 x", "FUNCTION LIST"] {
            let question = words(question);
            assert_eq!(replica.say(&question), ours.say(&question), "{dialect}: {question:?}");
        }
        assert_eq!(empty.send(&["DBSIZE"]), Reply::Int(0));
    }
}

/// A server of either kind.
trait Speaks {
    fn say(&mut self, args: &Args) -> Reply;
}

impl<S: Server> Speaks for S {
    fn say(&mut self, args: &Args) -> Reply {
        self.send(args)
    }
}

/// What is asked of servers that take no writes. A script stands alone on its line.
const QUESTIONS: &[&str] = &[
    "SET k w",
    "GET k",
    "DEL nothing",
    "GETEX k",
    "EXPIRE k x",
    "SET k",
    "FLUSHALL",
    "SWAPDB 0 1",
    "FCALL many 0 1 x",
    "FCALL MANY 0 1 x",
    "FCALL only_reads 0",
    "FCALL oom 0",
    "FCALL reads 0",
    "FCALL nothing 0",
    "FCALL many x",
    "FCALL publishes 0",
    "FCALL_RO reads 0",
    "FCALL_RO many 0 1 x",
    "PUBLISH c m",
    "FUNCTION DELETE no",
    "FUNCTION FLUSH",
    "XREADGROUP GROUP g c STREAMS s >",
    "BZPOPMIN q 1",
    "EXISTS gone",
    "GET gone",
    "TTL gone",
    "TYPE gone",
    "KEYS *",
    "TOUCH gone",
    "DBSIZE",
    "EXPIRETIME gone",
    "return redis.call('set','a',1)",
    "return redis.pcall('set','a',1)",
    "return redis.pcall('set','a',1).err",
    "return redis.call('get','k')",
    "return redis.call('publish','c','m')",
    "return {redis.call('exists','gone'),redis.call('dbsize')}",
    "#!lua\nreturn redis.call('get','k')",
    "#!lua flags=no-writes\nreturn redis.call('get','k')",
    "#!lua flags=allow-oom\nreturn 1",
    "return redis.call('wait',0,0)",
    "return redis.call('waitaof',0,0,0)",
    "WAIT 0 0",
    "WAIT x 1",
    "WAIT 1 x",
    "WAIT 1 -1",
    "WAITAOF 0 0 0",
    "WAITAOF 2 0 0",
    "WAITAOF x 0 0",
    "WAITAOF 1 0 0",
    "WAITAOF 0 -1 0",
    "WAITAOF 0 x 0",
    "WAITAOF 0 0 -1",
    "WAITAOF 0 0 x",
    "MULTI",
    "GET k",
    "SET k w",
    "EXEC",
    "MULTI",
    "FCALL many 0 1 x",
    "EXEC",
    "MULTI",
    "FCALL reads 0",
    "WAIT 3 0",
    "EXEC",
];

fn question(line: &str) -> Args {
    if line.contains("return ") {
        return [b"EVAL", line.as_bytes(), b"0"].map(<[u8]>::to_vec).to_vec();
    }
    words(line)
}

/// Asks both, and says where they differ.
fn compare_answers(dialect: Dialect, what: &str, real: &mut Real, ours: &mut Simulated) {
    let mut parted = Vec::new();
    for line in QUESTIONS {
        let (mut their, mut our) = (real.send(&question(line)), ours.send(&question(line)));
        [&mut their, &mut our].into_iter().for_each(|reply| dump::sort(reply, 1));
        if their != our {
            parted.push(format!(
                "{line}\n    real: {}\n    ours: {}",
                transcript::show(&their),
                transcript::show(&our)
            ));
        }
    }
    assert!(parted.is_empty(), "{dialect}, {what}:\n{}", parted.join("\n"));
}

/// Has a server hold what the questions are about.
fn fill(server: &mut impl Server) {
    server.set_clock(START);
    server.send(&load());
    server.send(&words("SET k v"));
    server.send(&words("SET gone v PX 5"));
}

#[test]
fn a_replica_answers_as_a_real_one_does() {
    for dialect in DIALECTS {
        let Some(mut primary) = real_primary(dialect, "what a replica answers") else { continue };
        let mut replica = Real::start(dialect, "what a replica answers").expect("there was one before");
        let link = CutLink::new(primary.socket(), usize::MAX);
        replica.set_clock(START);
        replica.follow(&link.port());
        fill(&mut primary);
        assert_eq!(primary.send(&["WAIT", "1", "0"]), Reply::Int(1));
        let mut ours = Simulated::new(dialect);
        fill(&mut ours);
        ours.engine.follow(address(1));
        ours.engine.set_link(LinkState::Up);
        let now = UnixMicros(START.0 + 20_000);
        replica.set_clock(now);
        ours.set_clock(now);
        compare_answers(dialect, "as replicas", &mut replica, &mut ours);
        replica.send(&["REPLICAOF", "NO", "ONE"]);
        ours.engine.lead();
        for line in ["DBSIZE", "GET gone", "DBSIZE", "FCALL many 0 1 x", "EXISTS many:1"] {
            assert_eq!(replica.send(&words(line)), ours.send(&words(line)), "{dialect}, promoted: {line}");
        }
    }
}

#[test]
fn a_primary_without_enough_replicas_answers_as_a_real_one_does() {
    for dialect in DIALECTS {
        let Some(mut primary) = real_primary(dialect, "min-replicas-to-write") else { continue };
        let mut ours = Simulated::new(dialect);
        fill(&mut primary);
        fill(&mut ours);
        let want_one = words("CONFIG SET min-replicas-to-write 1");
        assert_eq!((primary.send(&want_one), ours.send(&want_one)), (Reply::OK, Reply::OK));
        // Gone keys are removed by both: nobody else would.
        let now = UnixMicros(START.0 + 20_000);
        primary.set_clock(now);
        ours.set_clock(now);
        compare_answers(dialect, "without replicas", &mut primary, &mut ours);
        let mut replica = Real::start(dialect, "min-replicas-to-write").expect("there was one before");
        let link = CutLink::new(primary.socket(), usize::MAX);
        replica.follow(&link.port());
        primary.wait_for_field("min_slaves_good_slaves", "1");
        ours.engine.attach_replica(ReplicaId(1), address(2), now);
        for line in ["SET k w", "FCALL many 0 1 x"] {
            assert_eq!(primary.send(&words(line)), ours.send(&words(line)), "{dialect}, with one: {line}");
        }
    }
}

/// The fields of `INFO replication`, without the values that are each server's own.
fn info(server: &mut impl Server) -> Vec<String> {
    let Reply::Bulk(text) = server.send(&["INFO", "replication"]) else { panic!("INFO is text") };
    let text = String::from_utf8_lossy(&text).into_owned();
    let own = ["replid", "offset", "port", "slave0", "histlen", "first_byte"];
    let line = |line: &str| match line.split_once(':') {
        Some((name, _)) if own.iter().any(|own| name.contains(own)) => name.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect()
}

#[test]
fn a_server_that_never_had_a_replica_counts_what_it_writes_to_its_file() {
    for dialect in DIALECTS {
        let Some(mut real) = Real::with_file(dialect, "always", "offsets without replicas") else { continue };
        let mut ours = Simulated::new(dialect);
        ours.send(&words("CONFIG SET appendonly yes"));
        for line in
            ["SET k 1", "GET k", "MULTI", "SET a 1", "SET b 1", "EXEC", "SELECT 3", "SET c 1", "DEL nothing"]
        {
            assert_eq!(ours.send(&words(line)), real.send(&words(line)), "{dialect}: {line}");
        }
        for line in ["SET k 2", "FLUSHALL"] {
            assert_eq!(ours.send(&words(line)), real.send(&words(line)), "{dialect}: {line}");
            assert_eq!(ours.send(&["ROLE"]), real.send(&["ROLE"]), "{dialect}: after {line}");
        }
    }
}

#[test]
fn info_and_role_are_told_as_by_a_real_one() {
    for dialect in DIALECTS {
        let Some(mut primary) = real_primary(dialect, "INFO replication") else { continue };
        let mut ours = Simulated::new(dialect);
        fill(&mut primary);
        fill(&mut ours);
        assert_eq!(info(&mut ours), info(&mut primary), "{dialect}: alone");
        assert_eq!(ours.send(&["ROLE"]), primary.send(&["ROLE"]), "{dialect}: alone, the offset too");

        let mut replica = Real::start(dialect, "INFO replication").expect("there was one before");
        let link = CutLink::new(primary.socket(), usize::MAX);
        replica.follow(&link.port());
        primary.wait_for_field("connected_slaves", "1");
        let mut follower = Simulated::new(dialect);
        let engine = Engine::new(dialect, Interpreter::default());
        let mut our_replica = Replica::new(ReplicaId(1), address(2), engine);
        our_replica.synchronise(&mut ours.engine, address(1), START).unwrap();
        for server in [&mut primary as &mut dyn Speaks, &mut ours] {
            server.say(&words("CONFIG SET min-replicas-to-write 1"));
        }
        // A real one counts its good replicas once a second.
        primary.wait_for_field("min_slaves_good_slaves", "1");
        assert_eq!(info(&mut ours), info(&mut primary), "{dialect}: with a replica");
        follower.engine = our_replica.engine().clone();
        follower.set_clock(START);
        assert_eq!(info(&mut follower), info(&mut replica), "{dialect}: the replica");

        drop(primary);
        replica.wait_for_field("master_link_status", "down");
        our_replica.break_off(START);
        follower.engine = our_replica.engine().clone();
        assert_eq!(info(&mut follower), info(&mut replica), "{dialect}: its link is down");
        replica.send(&["REPLICAOF", "NO", "ONE"]);
        follower.engine.lead();
        assert_eq!(info(&mut follower), info(&mut replica), "{dialect}: promoted");
    }
}
