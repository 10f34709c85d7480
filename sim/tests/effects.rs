//! What a command propagates is what it did: an engine that is only handed the effects of another holds the same data
//! after every command. Replicas, restarts and the replay of a trace stand on that.
//!
//! Two things are compared after each step: the digest of all databases, and the loaded libraries. A third is what the
//! follower propagates in its turn, which must be what it was handed: effects are already in their last form.

use std::{cell::RefCell, collections::BTreeSet, path::PathBuf};

use crate::support::{
    commands, seeds,
    server::Args,
    transcript::{self, START, Step},
};
use bytes::Bytes;
use proptest::prelude::*;
use valkey_sim::{
    engine::{
        Dialect, Effects, Engine, Session, UnixMicros,
        commands::{FAMILIES, Flags},
        value::{Value, stream::Group},
    },
    lua::Interpreter,
};

const DIALECTS: [Dialect; 2] = [Dialect::Valkey8, Dialect::Redis7];

/// Sequences per dialect, a few seconds of them.
const SEQUENCES: u32 = 500;

/// A server that executes, and one that is handed what the first one wrote.
struct Pair {
    interpreter: Interpreter,
    leader: Engine,
    /// The one who speaks, and another.
    clients: [Session; 2],
    follower: Engine,
    stream: Session,
    now: UnixMicros,
    /// The commands that wrote something.
    wrote: BTreeSet<String>,
}

impl Pair {
    fn new(dialect: Dialect) -> Self {
        Self::with(dialect, Interpreter::default())
    }

    fn with(dialect: Dialect, interpreter: Interpreter) -> Self {
        let mut leader = Engine::new(dialect, interpreter.clone());
        let clients = [leader.connect(), leader.connect()];
        let mut follower = Engine::new(dialect, interpreter.clone());
        let stream = follower.connect();
        Self { interpreter, leader, clients, follower, stream, now: START, wrote: BTreeSet::new() }
    }

    /// Two empty servers again.
    fn restart(&mut self) {
        let wrote = std::mem::take(&mut self.wrote);
        *self = Self { wrote, ..Self::with(self.leader.dialect(), self.interpreter.clone()) };
    }

    /// One step on the leader, and its effects on the follower. The error says where the two part.
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Clock(now) => {
                self.now = *now;
                // Some expired keys are removed by the background cycle, the others by whoever asks for them.
                let mut effects = Effects::default();
                self.leader.reap(self.now, 1, &mut effects);
                self.follow("(background cycle)", &effects)
            }
            Step::Library(args) | Step::Command(args) => self.execute(0, args),
            Step::Other(args) => self.execute(1, args),
        }
    }

    fn execute(&mut self, client: usize, args: &Args) -> Result<(), String> {
        let words: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let mut effects = Effects::default();
        self.leader.execute(&mut self.clients[client], &words, self.now, &mut effects);
        if !effects.is_empty() {
            self.wrote.insert(String::from_utf8_lossy(&args[0]).to_ascii_uppercase());
        }
        self.follow(&transcript::write(args), &effects)?;
        for client in 0..self.clients.len() {
            let mut effects = Effects::default();
            let command = self.clients[client].blocked.as_ref().map(|blocked| blocked.args[0].to_vec());
            let answered = self.leader.resume(&mut self.clients[client], self.now, &mut effects).is_some();
            if let Some(command) = command.filter(|_| answered && !effects.is_empty()) {
                self.wrote.insert(String::from_utf8_lossy(&command).to_ascii_uppercase());
            }
            self.follow("(a command that had waited)", &effects)?;
        }
        Ok(())
    }

    /// Does to the follower what a real server does and does not propagate, so that it is no difference: t_stream.c of
    /// redis 7.0 and valkey 8.0. A replica really knows none of it.
    fn tell_what_no_server_propagates(&mut self, cause: &str, effects: &Effects) {
        let mut untold: Vec<(u8, Vec<Bytes>)> = Vec::new();
        for (number, keyspace) in self.leader.databases() {
            for (key, entry) in keyspace.iter() {
                let follower = self.follower.database(number).and_then(|db| db.get(key));
                let (Value::Stream(ours), Some(Value::Stream(theirs))) =
                    (&entry.value, follower.map(|entry| &entry.value))
                else {
                    continue;
                };
                let is_silent = !effects.iter().any(|effect| effect.args().any(|arg| arg == key))
                    || cause.contains("EXEC");
                for (name, group) in &ours.groups {
                    let Some(known) = theirs.groups.get(name) else { continue };
                    let commands = untold_of_group(key, name, group, known, is_silent, self.leader.dialect());
                    untold.extend(commands.into_iter().map(|args| (number, args)));
                }
            }
        }
        let mut teller = self.follower.connect();
        for (number, args) in untold {
            teller.db = number;
            let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
            self.follower.execute(&mut teller, &args, self.now, &mut Effects::default());
        }
        self.follower.disconnect(&teller);
    }

    /// Hands effects to the follower and compares.
    fn follow(&mut self, cause: &str, effects: &Effects) -> Result<(), String> {
        let mut again = Effects::default();
        let applied = self.follower.apply(&mut self.stream, effects, self.now, &mut again);
        applied.map_err(|error| format!("{cause}\n    {}", error.0))?;
        self.tell_what_no_server_propagates(cause, effects);
        for question in [&["SIM", "DIGEST"][..], &["FUNCTION", "LIST", "WITHCODE"]] {
            let args: Vec<&[u8]> = question.iter().map(|word| word.as_bytes()).collect();
            let [leader, follower] =
                [&mut self.leader, &mut self.follower].map(|engine| ask(engine, &args, self.now));
            if leader != follower {
                let wrote: Vec<_> = effects.iter().collect();
                return Err(format!("{cause}\n    wrote {wrote:?}, and {question:?} differs"));
            }
        }
        // Which database is selected is the connection's affair.
        let [wrote, again] = [effects, &again].map(|effects| {
            let writes = effects.iter().filter(|effect| effect.name() != b"SELECT");
            format!("{:?}", Vec::from_iter(writes))
        });
        if wrote != again {
            return Err(format!("{cause}\n    wrote         {wrote}\n    and it became {again}"));
        }
        Ok(())
    }
}

/// The commands that tell of a group what no server propagates: that a consumer came who was given nothing, that one read
/// again what it had (both only if the command was `silent` about the stream), and, in Redis 7.0, how many entries the
/// group has read.
fn untold_of_group(
    key: &Bytes,
    name: &Bytes,
    ours: &Group,
    theirs: &Group,
    is_silent: bool,
    dialect: Dialect,
) -> Vec<Vec<Bytes>> {
    let words = |words: &[&[u8]]| words.iter().map(|word| Bytes::copy_from_slice(word)).collect::<Vec<_>>();
    let mut commands = Vec::new();
    if is_silent {
        for consumer in ours.consumers.keys().filter(|consumer| !theirs.consumers.contains_key(*consumer)) {
            commands.push(words(&[b"XGROUP", b"CREATECONSUMER", key, name, consumer]));
        }
        for (id, pending) in &ours.pending {
            let known = theirs.pending.get(id).filter(|known| known.consumer == pending.consumer);
            if known.is_some_and(|known| known.deliveries < pending.deliveries) {
                let (id, at) = (id.to_string(), pending.delivered_at.to_string());
                let times = pending.deliveries.to_string();
                let claim = [b"XCLAIM", &key[..], name, &pending.consumer, b"0", id.as_bytes(), b"TIME"];
                let how = [at.as_bytes(), b"RETRYCOUNT", times.as_bytes(), b"FORCE", b"JUSTID"];
                commands.push(words(&[&claim[..], &how[..]].concat()));
            }
        }
    }
    if dialect == Dialect::Redis7
        && ours.entries_read != theirs.entries_read
        && ours.last_id == theirs.last_id
    {
        let last = ours.last_id.to_string();
        let read = ours.entries_read.map_or("-1".to_owned(), |read| read.to_string());
        let read = [b"ENTRIESREAD", read.as_bytes()];
        commands.push(words(&[&[b"XGROUP", &b"SETID"[..], key, name, last.as_bytes()][..], &read].concat()));
    }
    commands
}

fn ask(engine: &mut Engine, args: &[&[u8]], now: UnixMicros) -> String {
    let mut session = engine.connect();
    let reply = engine.execute(&mut session, args, now, &mut Effects::default());
    engine.disconnect(&session);
    transcript::show(&reply)
}

/// Runs steps and says where leader and follower part, with all that led there.
fn follow_all(pair: &mut Pair, steps: impl IntoIterator<Item = Step>) -> Result<(), String> {
    let mut before = Vec::new();
    for step in steps {
        let line = match &step {
            Step::Clock(now) => format!("SIM CLOCK SET {}", now.millis()),
            Step::Library(_) => "SIM LIBRARY published".to_owned(),
            Step::Command(args) => transcript::write(args),
            Step::Other(args) => format!("@ {}", transcript::write(args)),
        };
        before.push(line);
        pair.step(&step).map_err(|error| format!("\n{}\n=> {error}", before.join("\n")))?;
    }
    Ok(())
}

#[test]
fn every_transcript_leaves_the_same_data_where_only_its_effects_went() {
    let mut wrong = Vec::new();
    for dialect in DIALECTS {
        let folder = format!("{}/../fixtures/transcripts/{dialect}", env!("CARGO_MANIFEST_DIR"));
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let mut reader = transcript::Reader::default();
            let mut pair = Pair::new(dialect);
            for (number, line) in text.lines().enumerate() {
                let Some(step) = reader.step(line) else { continue };
                if let Err(error) = pair.step(&step) {
                    wrong.push(format!("{}:{}: {error}", file.display(), number + 1));
                    pair = Pair::new(dialect);
                    break;
                }
            }
            drop(pair);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn random_sequences_of_commands_leave_the_same_data_where_only_their_effects_went() {
    let sequences = prop::collection::vec(prop::collection::vec(any::<u8>(), 24..40), 1..120);
    for dialect in DIALECTS {
        let pair = RefCell::new(Pair::new(dialect));
        seeds::check(17, SEQUENCES, &sequences, |choices| {
            let pair = &mut *pair.borrow_mut();
            pair.restart();
            follow_all(pair, commands::steps(&choices)).map_err(TestCaseError::fail)
        });
    }
}

/// Every command that writes, and what random sequences do not come to or seldom do.
const SCENES: &[&str] = &[
    // Keys and strings.
    "SET a 1\nAPPEND a 2\nINCR a\nINCRBY a 2\nDECR a\nDECRBY a 2\nINCRBYFLOAT a 0.5\nSETRANGE a 9 x\nGETSET a b\n\
     GETEX a EX 10\nGETDEL a\nSETNX a 1\nSETEX b 10 1\nPSETEX c 10 1\nMSET a 2 d 3\nMSETNX e 1 f 2\nDEL a nosuch",
    "SET a 1\nEXPIRE a 10\nPEXPIRE a 20\nEXPIREAT a 1700000100\nPEXPIREAT a 1700000200000\nPERSIST a\nCOPY a b\n\
     RENAME a c\nRENAMENX c d\nMOVE d 1\nUNLINK b\nSWAPDB 0 1\nFLUSHDB\nSET a 1\nFLUSHALL",
    // Hashes, lists, sets.
    "HSET h a 1\nHMSET h b 2\nHSETNX h c 3\nHINCRBY h a 5\nHINCRBYFLOAT h a 0.1\nHDEL h a b\nHDEL h c",
    "RPUSH l a b c a\nLPUSH l d\nLPUSHX l e\nRPUSHX l f\nLINSERT l BEFORE b x\nLSET l 0 y\nLREM l -1 a\nLTRIM l 1 -2\n\
     LPOP l\nRPOP l\nLMOVE l m LEFT RIGHT\nRPOPLPUSH l m\nLMPOP 1 m LEFT COUNT 2\nLPOP l 9",
    "SADD s a b c d\nSADD t b\nSREM s a\nSMOVE s t c\nSINTERSTORE u s t\nSUNIONSTORE u s t\nSDIFFSTORE u s t\nSPOP s 1\n\
     SPOP s 100\nSUNIONSTORE u s nosuch",
    // Sorted sets.
    "ZADD z 1 a 2 b 3 c 4 d 5 e 6 f 7 g\nZADD z GT CH 9 a\nZADD z INCR 1 b\nZINCRBY z 0.1 c\nZREM z d\nZADD y 1 a\n\
     ZUNIONSTORE x 2 z y WEIGHTS 2 3\nZINTERSTORE x 2 z y\nZDIFFSTORE x 2 z y\nZRANGESTORE x z 0 1\n\
     ZREMRANGEBYRANK z 0 0\nZREMRANGEBYSCORE z 5 6\nZPOPMIN z\nZPOPMAX z\nZMPOP 1 z MIN COUNT 9\n\
     ZADD z 0 a 0 b\nZREMRANGEBYLEX z [a (b\nZUNIONSTORE x 1 nosuch",
    // Streams and their groups.
    "XADD s 1-1 f a\nXADD s 1-2 f b\nXADD s 1-3 f c\nXDEL s 1-2\nXSETID s 5-0 ENTRIESADDED 9 MAXDELETEDID 1-2\nXTRIM s MAXLEN 1\n\
     XGROUP CREATE s g 0\nXGROUP CREATECONSUMER s g c\nXREADGROUP GROUP g c STREAMS s >\nXADD s * f d\n\
     XREADGROUP GROUP g c NOACK STREAMS s >\nXCLAIM s g d 0 1-3\nSIM CLOCK ADVANCE 5\nXAUTOCLAIM s g c 1 0\nXACK s g 1-3\n\
     XGROUP SETID s g 0 ENTRIESREAD 1\nXREADGROUP GROUP g d COUNT 1 STREAMS s >\nXDEL s 1-3\nXAUTOCLAIM s g c 0 0\n\
     XGROUP DELCONSUMER s g d\nXGROUP DESTROY s g",
    // Commands that wait, and write when it is over.
    "@ BZPOPMIN z 0\nZADD z 1 a 2 b\nZADD z 3 c",
    "@ BZPOPMAX y z 0\nZADD z 1 a 2 b\nDEL z",
    "@ BZMPOP 0 2 y z MIN COUNT 2\nZADD z 1 a 2 b 3 c\nEXPIRE z 10",
    "@ XREAD BLOCK 0 STREAMS s $\nXADD s * a 1",
    "XGROUP CREATE s g $ MKSTREAM\n@ XREADGROUP GROUP g c BLOCK 0 STREAMS s >\nXADD s * a 1\nXACK s g 1700000000000-0",
    "XGROUP CREATE s g $ MKSTREAM\n@ XREADGROUP GROUP g c BLOCK 0 NOACK STREAMS s >\nXADD s * a 1",
    "SELECT 1\nZADD z 1 a\nSELECT 0\n@ BZPOPMIN z 0\nSWAPDB 0 1",
    "XGROUP CREATE s g 0 MKSTREAM\nXADD s * a 1\nXREADGROUP GROUP g new NOACK STREAMS s >",
    "@ BLPOP k l 0\nRPUSH l a b\nRPUSH l c",
    "@ BRPOP l 0\nRPUSH l a b\nDEL l",
    "@ BLMPOP 0 2 k l RIGHT COUNT 2\nRPUSH l a b c\nEXPIRE l 10",
    "@ BLMOVE l m LEFT RIGHT 0\nRPUSH l a b\nLRANGE m 0 -1",
    "@ BRPOPLPUSH l l 0\nRPUSH l a b",
    "RPUSH l a b c d\nBLPOP k l 1\nBRPOP l 1\nBLMOVE l m LEFT LEFT 1\nBRPOPLPUSH m l 1\nBLMPOP 1 1 l LEFT COUNT 9",
    // Bits.
    "SETBIT b 7 1\nSETBIT b 7 1\nSETBIT b 100 0\nBITFIELD b SET u8 0 255 INCRBY u8 0 1 OVERFLOW FAIL INCRBY u4 200 99\n\
     BITFIELD new OVERFLOW FAIL SET u4 9 99\nBITOP XOR c b new\nBITOP AND c nosuch\nSET t 1 EX 10\nBITOP NOT t b",
    // Sorted, dumped and restored.
    "RPUSH l 3 1 2\nSET w1 9\nSORT l STORE m\nSORT l BY w* DESC GET # GET w* STORE l\nSORT nosuch STORE m\nSORT nosuch STORE m",
    "RESTORE k 0 \"\\x00\\xc0\\x05\\x0a\\x00\\x63\\x2f\\x5f\\x66\\x83\\x2f\\xb3\\x51\"\n\
     RESTORE k 90 \"\\x00\\xc0\\x05\\x0a\\x00\\x63\\x2f\\x5f\\x66\\x83\\x2f\\xb3\\x51\" REPLACE\nSIM CLOCK ADVANCE 91\nGET k",
    // An approximate trim that leaves nothing, and one that leaves some.
    "XADD s MINID ~ 2 1-1 f a\nXADD s 1-2 f a",
    "XADD s 1-1 f a\nXTRIM s MINID ~ 2\nXADD s 3-1 f b",
    "EVAL \"for n = 1, 250 do redis.call('XADD', 's', n .. '-0', 'f', n) end\" 0\nXTRIM s MAXLEN ~ 120\n\
     XTRIM s MINID ~ 199 LIMIT 10\nXADD s MAXLEN ~ 20 LIMIT 150 * f a\nXADD s MINID ~ 240 * f b",
    // What has expired and is still there.
    "SET k 1 PX 10\nSADD t a\nPEXPIRE t 10\nSIM CLOCK ADVANCE 11\nSADD t b\nAPPEND k 2",
    "SET k 1 PX 10\nSIM CLOCK ADVANCE 10\nGET k\nINCR k\nSIM CLOCK ADVANCE 1\nINCR k",
    "MSET a 1 b 2\nPEXPIRE a 5\nPEXPIRE b 5\nSIM CLOCK ADVANCE 6\nRENAME a c\nCOPY b d\nEXISTS a b",
    "SET k 1\nPEXPIREAT k 1\nSET k 2 PXAT 1\nSET k 3 EX 1\nGETEX k PXAT 1\nSET k 4\nEXPIRE k -1",
    "SELECT 3\nSET k 1 PX 10\nSELECT 0\nSET k 1 PX 10\nSIM CLOCK ADVANCE 11\nSELECT 3\nGET k\nSET l 1",
    // Conditions, and a field that is there already.
    "SET k 1 EX 10\nEXPIRE k 20 GT\nEXPIRE k 10 GT\nEXPIRE k 5 LT\nEXPIRE k 9 NX\nPERSIST k\nEXPIRE k 9 XX\n\
     EXPIRE k 9 GT\nEXPIRE k 9 LT",
    "HSET h a 1 b 2\nHSET h a 3\nHSET h a 3 c 4\nHMSET h a 5\nHINCRBY h a 1\nHSETNX h a 9\nHSETNX h d 9",
    // More than a small encoding takes, and what chance takes away.
    "EVAL \"for n = 1, 600 do redis.call('HSET', 'h', n, n) redis.call('SADD', 's', n) end\" 0\nHDEL h 5 9 700\n\
     SPOP s 50\nSPOP s\nSREM s 1 2 3",
    // A script that fails half-way keeps what it wrote.
    "EVAL \"redis.call('SET', 'a', 1) redis.call('EXPIRE', 'a', 10) redis.call('INCR', 'h') error('no')\" 0",
    "MULTI\nSET a 1 EX 9\nSPOP t\nSELECT 2\nSET a 2\nEVAL \"return redis.call('INCR', 'a')\" 0\nEXEC\nSET a 3",
];

#[test]
fn every_scene_leaves_the_same_data_where_only_its_effects_went() {
    for dialect in DIALECTS {
        let mut wrote = BTreeSet::new();
        for scene in SCENES {
            let mut pair = Pair::new(dialect);
            let mut reader = transcript::Reader::default();
            let steps: Vec<Step> = scene.lines().filter_map(|line| reader.step(line.trim_start())).collect();
            follow_all(&mut pair, steps).unwrap_or_else(|error| panic!("{dialect}: {error}"));
            assert!(!pair.wrote.is_empty(), "{scene}");
            wrote.append(&mut pair.wrote);
        }
        // A command that no scene has write anything is not tested.
        let writes = FAMILIES.iter().copied().flatten().filter(|command| command.flags.has(Flags::WRITE));
        let silent: Vec<&str> =
            writes.map(|command| command.name).filter(|name| !wrote.contains(*name)).collect();
        assert_eq!(silent, [""; 0], "{dialect}");
    }
}

#[test]
fn an_effect_that_cannot_be_done_is_named() {
    let mut engine = Engine::new(Dialect::Valkey8, Interpreter::default());
    let (mut stream, mut effects) = (engine.connect(), Effects::default());
    effects.push(&[b"SET", b"k", b"text"]);
    effects.push(&[b"HSET", b"k", b"f", b"v"]);
    effects.push(&[b"SET", b"l", b"never"]);
    let error = engine.apply(&mut stream, &effects, START, &mut Effects::default()).unwrap_err();
    let expected = "[\"HSET\", \"k\", \"f\", \"v\"] is refused: WRONGTYPE";
    assert!(error.0.starts_with(expected), "{}", error.0);
    let held: Vec<&Bytes> = engine.keyspace().iter().map(|(key, _)| key).collect();
    assert_eq!(held, ["k"], "what came before is done, what comes after is not");
}
