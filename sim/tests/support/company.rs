//! Random sequences for several clients: commands that wait, what ends their waiting, watched keys that expire, and the turns of
//! a clock; and how what two servers make of one is compared.
//!
//! What the sequences may say is a list of kinds. A kind that the engine does not have right yet is left out of [`ON`].

use std::{mem, thread, time::Duration};

use valkey_sim::engine::{Reply, UnixMicros};

use super::{
    choices::Choices,
    dump::{self, dump},
    server::{Args, Server},
    several::{CLIENTS, OurClients, RealClients, Several},
    transcript::{self, START},
};

/// The kinds that sequences are made of.
pub const ON: &[Kind] = &[LISTS, SORTED_SETS, STREAMS, WATCHING, TRACKING, PAUSING, NOTIFYING];

/// Shapes of commands, in the notation of `grammar.txt`.
pub struct Kind {
    /// What only those send who may wait.
    waiting: &'static [&'static str],
    /// What everybody sends.
    other: &'static [&'static str],
}

/// Lists, and what puts one where somebody waits for it.
pub const LISTS: Kind = Kind {
    waiting: &[
        "BLPOP <list> <seconds>",
        "BLPOP <list> <list> <seconds>",
        "BRPOP <list> <list> <seconds>",
        "BLMOVE <list> <list> (LEFT|RIGHT) (LEFT|RIGHT) <seconds>",
        "BLMOVE <list> <list> (LEFT|RIGHT) (LEFT|RIGHT) <seconds>",
        "BRPOPLPUSH <list> <list> <seconds>",
        "BLMPOP <seconds> 1 <list> (LEFT|RIGHT)",
        "BLMPOP <seconds> 2 <list> <list> (LEFT|RIGHT) COUNT (1|2|3)",
    ],
    other: &[
        "LPUSH <list> <value>",
        "RPUSH <list> <value> <value>",
        "RPUSH <list> <value> <value> <value>",
        "LMOVE <list> <list> LEFT RIGHT",
        "LPOP <list>",
        "RENAME <key> <list>",
        "COPY <key> <list> [REPLACE]",
        "SORT <list> BY nosort STORE <list>",
        "SORT <list> BY nosort STORE <list>",
        "SET <list> text",
        "DEL <key> <key>",
        "PEXPIRE <key> (0|1|10|20)",
        "EVAL <pushes> 2 <list> <list>",
        "SELECT (0|1)",
        "MOVE <key> (0|1)",
        // Not SWAPDB: which of the keys that it brings is looked at first is chance.
        "FLUSHALL",
        "MULTI",
        "EXEC",
        "EXEC",
        "CLIENT UNBLOCK <waiter> [TIMEOUT|ERROR]",
        "LRANGE <list> 0 -1",
    ],
};

/// Sorted sets.
pub const SORTED_SETS: Kind = Kind {
    waiting: &[
        "BZPOPMIN <zset> <seconds>",
        "BZPOPMAX <zset> <zset> <seconds>",
        "BZMPOP <seconds> 2 <zset> <zset> (MIN|MAX) COUNT (1|2)",
    ],
    other: &[
        "ZADD <zset> 1 <value>",
        "ZADD <zset> 2 <value> 1 <value>",
        "ZUNIONSTORE <zset> 2 <zset> <zset>",
        "ZREM <zset> <value>",
    ],
};

/// Streams and groups.
pub const STREAMS: Kind = Kind {
    waiting: &[
        "XREAD BLOCK <ms> STREAMS <stream> $",
        "XREAD COUNT 1 BLOCK <ms> STREAMS <stream> <stream> $ 0",
        "XREADGROUP GROUP g <consumer> BLOCK <ms> STREAMS <stream> >",
    ],
    other: &[
        "XADD <stream> * f <value>",
        "XADD <stream> MAXLEN 1 * f <value>",
        "XGROUP CREATE <stream> g $ MKSTREAM",
        "XGROUP CREATE <stream> g 0 MKSTREAM",
        "XGROUP DESTROY <stream> g",
        "XACK <stream> g 1700000000000-0",
    ],
};

/// Keys that are watched, and expire.
pub const WATCHING: Kind = Kind {
    waiting: &[],
    other: &[
        "WATCH <key> <key>",
        "WATCH <key>",
        "UNWATCH",
        "MULTI",
        "EXEC",
        "DISCARD",
        "SET <key> <value> PX (1|10|20)",
        "GET <key>",
        "EXISTS <key>",
        "PERSIST <key>",
    ],
};

/// Copies of keys, and who is told that they are old: the last client, in the place of all others.
pub const TRACKING: Kind = Kind {
    waiting: &[],
    other: &[
        "CLIENT TRACKING ON REDIRECT <4> [NOLOOP]",
        "CLIENT TRACKING ON REDIRECT <4> [NOLOOP]",
        // Not with NOLOOP: whether a key had expired that is overwritten is told otherwise.
        "CLIENT TRACKING ON REDIRECT <4> BCAST",
        "CLIENT TRACKING ON REDIRECT <4> BCAST PREFIX (l|z1) PREFIX (x|z2)",
        "CLIENT TRACKING ON REDIRECT <4> (OPTIN|OPTOUT)",
        "CLIENT TRACKING OFF",
        "CLIENT CACHING (YES|NO)",
        "GET <key>",
        "EXISTS <key> <key>",
        "LRANGE <list> 0 -1",
        "ZRANGE <zset> 0 -1",
        "XREAD COUNT 1 STREAMS <stream> 0",
        "EVAL <reads> 1 <key>",
        "EVAL <pushes> 2 <list> <list>",
        "LTRIM <list> 0 (0|-1)",
        "SET <key> <value> EX 1",
        "MSET <key> <value> <key> <value>",
        "DEL <key> <key>",
        "FLUSHDB",
        "RESET",
    ],
};

/// A pause for those who write.
pub const PAUSING: Kind = Kind {
    waiting: &["SET <key> <value>", "RPUSH <list> <value>"],
    other: &["CLIENT PAUSE (1|10|20) WRITE", "CLIENT UNPAUSE", "EVAL_RO <reads> 1 <key>", "GET <key>"],
};

/// Notifications of what happens to keys. The last client hears them, and says nothing.
pub const NOTIFYING: Kind =
    Kind { waiting: &[], other: &["CONFIG SET notify-keyspace-events (KEA|Kg$|Elx|)"] };

/// What may follow `CLIENT PAUSE` in a transaction: a real server of either dialect dies of whatever finds, during a pause, an
/// expired key in the place of one that it writes.
const HARMLESS: [&[u8]; 9] =
    [b"DEL", b"EXISTS", b"GET", b"PERSIST", b"PEXPIRE", b"FLUSHALL", b"CLIENT", b"EXEC", b"DISCARD"];

/// What a client's transaction will do that matters to what else may be sent.
#[derive(Clone, Copy, Default)]
struct Queue {
    is_open: bool,
    pauses: bool,
    unblocks: bool,
}

impl Queue {
    /// Whether a real server of either dialect dies of the command. It does, too, where somebody is unblocked whom a pause holds.
    fn is_fatal(self, args: &Args, is_paused: bool) -> bool {
        let name = &args[0][..];
        let unblocks = is_word(args, b"UNBLOCK") || self.unblocks && name == b"EXEC";
        is_paused && unblocks || self.pauses && !HARMLESS.contains(&name)
    }

    fn then(self, args: &Args) -> Self {
        match &args[0][..] {
            b"MULTI" => Self { is_open: true, ..self },
            b"EXEC" | b"DISCARD" | b"RESET" => Self::default(),
            _ => Self {
                is_open: self.is_open,
                pauses: self.pauses || self.is_open && is_word(args, b"PAUSE"),
                unblocks: self.unblocks || self.is_open && is_word(args, b"UNBLOCK"),
            },
        }
    }
}

/// Whether it is the subcommand.
fn is_word(args: &Args, word: &[u8]) -> bool {
    args.get(1).is_some_and(|arg| arg == word)
}

/// How often a real server is asked for what ours has said already, and how long between.
const LOOKS: usize = 200;
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    Clock(UnixMicros),
    Command(usize, Args),
}

/// The steps of one case.
pub fn steps(choices: &[Vec<u8>]) -> Vec<Step> {
    let mut now = START;
    choices
        .iter()
        .map(|bytes| {
            let mut draw = Choices::new(bytes);
            if draw.once_in(6) {
                now = UnixMicros(now.0 + 1_000 * draw.of(&[1, 10, 11, 20, 21, 500]));
                return Step::Clock(now);
            }
            let client = draw.below(CLIENTS - 1);
            let kind = &ON[draw.below(ON.len())];
            // The first client never waits, so that there is always somebody to go on.
            let may_wait = client > 0 && !kind.waiting.is_empty() && draw.below(2) == 1;
            let shape = draw.of(if may_wait { kind.waiting } else { kind.other });
            Step::Command(client, command(&mut draw, shape))
        })
        .collect()
}

/// What queue libraries send.
pub const IDIOMS: &str = include_str!("idioms.txt");
/// What real servers and ours answered differently once.
pub const PARTED: &str = include_str!("parted.txt");

/// The scenes of a text, each with its title: what [`compare`] prints, and a line `== title` before each.
pub fn scenes(text: &'static str) -> Vec<(&'static str, Vec<Step>)> {
    let mut scenes: Vec<(&str, Vec<Step>)> = Vec::new();
    let mut now = START;
    let is_said = |line: &&str| !line.is_empty() && !line.starts_with(['#', ' ']);
    for line in text.lines().filter(is_said) {
        if let Some(title) = line.strip_prefix("== ") {
            now = START;
            scenes.push((title, Vec::new()));
            continue;
        }
        let millis = |text: &str| text.parse::<u64>().expect("milliseconds");
        let step = if let Some(ms) = line.strip_prefix("SIM CLOCK ADVANCE ") {
            now = UnixMicros(now.0 + 1_000 * millis(ms));
            Step::Clock(now)
        } else if let Some(ms) = line.strip_prefix("SIM CLOCK SET ") {
            now = UnixMicros::from_millis(millis(ms));
            Step::Clock(now)
        } else {
            let (client, command) = line.split_once(": ").expect("a client and its command");
            Step::Command(client.parse().expect("the number of a client"), transcript::parse(command))
        };
        scenes.last_mut().expect("a title comes first").1.push(step);
    }
    scenes
}

fn command(draw: &mut Choices<'_>, shape: &str) -> Args {
    const PUSHES: &str = "redis.call('RPUSH', KEYS[1], 'x', 'y') redis.call('LPUSH', KEYS[2], 'z') \
         if #ARGV > 0 then redis.call('DEL', KEYS[1]) end return redis.call('EXISTS', KEYS[1], KEYS[2])";
    let mut args = Args::new();
    for token in shape.split(' ') {
        let word = match token {
            "<list>" => draw.word("l1 l2 l3 l1 l2 z1"),
            "<zset>" => draw.word("z1 z2 z1 z2 l1"),
            "<stream>" => draw.word("x1 x2 x1 x2 l1"),
            "<key>" => draw.word("l1 l2 l3 z1 z2 x1 x2 s1"),
            "<value>" => draw.word("a b c l1"),
            "<seconds>" => draw.word("0 0 0.01 0.02 1"),
            "<ms>" => draw.word("0 0 10 20 1000"),
            "<consumer>" => draw.word("c1 c2"),
            "<waiter>" => draw.word("<1> <2> <3>"),
            "<pushes>" => PUSHES.to_owned(),
            "<reads>" => "return redis.call('TYPE', KEYS[1])".to_owned(),
            token if token.starts_with('[') => {
                let options: Vec<&str> = token[1..token.len() - 1].split('|').collect();
                if draw.below(2) == 0 {
                    continue;
                }
                draw.of(&options).to_owned()
            }
            token if token.starts_with('(') => {
                let options: Vec<&str> = token[1..token.len() - 1].split('|').collect();
                draw.of(&options).to_owned()
            }
            token => token.to_owned(),
        };
        args.push(word.into_bytes());
    }
    args
}

/// A command with the number of a client of this server in the place of `<n>`.
fn addressed(args: &Args, server: &impl Several) -> Args {
    let address = |arg: &Vec<u8>| match arg[..] {
        [b'<', digit, b'>'] => server.id(usize::from(digit - b'0')).to_string().into_bytes(),
        _ => arg.clone(),
    };
    args.iter().map(address).collect()
}

/// What the clients of a real server hear, until it is as much as ours have heard: it notices by and by that a pause is over.
#[allow(clippy::disallowed_methods, reason = "a real server is on real time")]
fn heard_as_much(real: &mut RealClients, mine: &[Vec<Reply>]) -> Vec<Vec<Reply>> {
    let mut theirs = real.heard();
    for _ in 0..LOOKS {
        if theirs.iter().zip(mine).all(|(theirs, mine)| theirs.len() >= mine.len()) {
            break;
        }
        thread::sleep(BETWEEN_LOOKS);
        for (heard, more) in theirs.iter_mut().zip(real.heard()) {
            heard.extend(more);
        }
    }
    theirs
}

/// A reply; of one that names several old copies, each.
fn of_each_copy(reply: &Reply) -> Vec<String> {
    if let Reply::Array(items) = reply
        && let [kind, channel, Reply::Array(keys)] = &items[..]
    {
        let one = |key: &Reply| [kind.clone(), channel.clone(), Reply::Array(vec![key.clone()])];
        return keys.iter().map(|key| transcript::show(&Reply::Array(one(key).into()))).collect();
    }
    vec![transcript::show(reply)]
}

/// What was said and heard so far. Where the comparison is cut short, because a real server is gone, say, it is printed.
#[derive(Default)]
struct Protocol(String);

impl Drop for Protocol {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("cut short:\n{}", self.0);
        }
    }
}

/// Runs the steps on both servers. The error is a protocol that ends where they part.
pub fn compare(real: &mut RealClients, ours: &mut OurClients, steps: &[Step]) -> Result<usize, String> {
    // A real server that ended at the end of the last ones shows it now.
    let mut last = Protocol(mem::take(&mut real.last));
    real.begin_anew();
    ours.begin_anew();
    let before = mem::take(&mut last.0);
    let compared = converse(real, ours, steps);
    if compared.is_err() && !before.is_empty() {
        eprintln!("the conversation before the one in which they part:\n{before}");
    }
    compared
}

fn converse(real: &mut RealClients, ours: &mut OurClients, steps: &[Step]) -> Result<usize, String> {
    let listener = CLIENTS - 1;
    // How many commands of each client are not answered yet.
    let mut open = [0_usize; CLIENTS];
    let mut protocol = Protocol::default();
    let protocol = &mut protocol.0;
    let mut woken = 0;
    let mut was_paused = false;
    let mut queues = [Queue::default(); CLIENTS];
    let listen = Step::Command(listener, vec![b"PSUBSCRIBE".to_vec(), b"__key*__:*".to_vec()]);
    for step in std::iter::once(&listen).chain(steps) {
        let mut speaker = None;
        match step {
            Step::Clock(now) => {
                real.set_clock(*now);
                ours.set_clock(*now);
                if !ours.is_paused() {
                    real.await_the_end_of_pauses();
                }
                *protocol += &format!("SIM CLOCK SET {}\n", now.millis());
            }
            Step::Command(client, args) => {
                // Who waits says nothing; the next one does, who may wait as well.
                let next = (0..CLIENTS - 2).map(|n| (client + CLIENTS - 3 + n) % (CLIENTS - 2) + 1);
                let free = match *client {
                    0 => Some(0),
                    client if client == listener => Some(listener),
                    _ => next.into_iter().find(|n| open[*n] == 0),
                };
                let Some(client) = free else { continue };
                if queues[client].is_fatal(args, ours.is_paused()) {
                    continue;
                }
                queues[client] = queues[client].then(args);
                let of_each = [addressed(args, real), addressed(args, ours)];
                open[client] += 1;
                speaker = Some(client);
                was_paused |= is_word(args, b"PAUSE");
                *protocol += &format!("{client}: {}\n", transcript::write(args));
                real.tell(client, &of_each[0]);
                ours.tell(client, &of_each[1]);
            }
        }
        let mine = ours.heard();
        let theirs = heard_as_much(real, &mine);
        for client in 0..CLIENTS {
            let show = |replies: &[Reply]| {
                // After a pause the real server tells in one message of what all changed who were held.
                let mut shown: Vec<String> = match was_paused {
                    true => replies.iter().flat_map(of_each_copy).collect(),
                    false => replies.iter().map(transcript::show).collect(),
                };
                // Who of several is told first of an old copy is chance.
                let is_of_copies = |line: &String| line.contains("__redis__:invalidate");
                shown.sort_by_key(|line| is_of_copies(line).then(|| line.clone()));
                if was_paused {
                    shown.dedup_by(|one, other| is_of_copies(one) && one == other);
                }
                shown.join(" | ")
            };
            let [theirs, mine] = [&theirs, &mine].map(|heard| show(&heard[client]));
            if theirs != mine {
                return Err(format!("\n{protocol}to {client}:\n    real: {theirs}\n    ours: {mine}"));
            }
            if !theirs.is_empty() {
                *protocol += &format!("    to {client}: {theirs}\n");
                woken += usize::from(speaker != Some(client));
            }
        }
        for (client, replies) in theirs.iter().enumerate() {
            open[client] = open[client].saturating_sub(replies.len());
        }
    }
    for number in ["0", "1"] {
        real.send(&["SELECT", number]);
        ours.send(&["SELECT", number]);
        let parted = dump::differences(&dump(real), &dump(ours));
        if !parted.is_empty() {
            return Err(format!("\n{protocol}SELECT {number}\n{}", parted.join("\n")));
        }
    }
    real.last = mem::take(protocol);
    Ok(woken)
}
