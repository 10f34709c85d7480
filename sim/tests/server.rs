//! Connections behave as a server's do, whatever the bytes come in.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io,
    rc::Rc,
};

use crate::support::executor::{Client, Clock, Tasks};
use bytes::BytesMut;
use valkey_sim::{
    engine::{
        Dialect, Effects, Engine, Protocol, Reply, UnixMicros,
        replication::{Address, ReplicaId},
    },
    lua::Interpreter,
    replica::Link,
    resp::{self, ReplyDecoder},
    server::{Environment, Executed, Observer, Server},
};

/// Notes which commands were seen, and how often keys were reaped; of the commands also what they answered and wrote.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>, Rc<RefCell<Vec<(Reply, Effects)>>>);

impl Observer for Log {
    fn executed(&mut self, executed: &Executed<'_>) {
        let name = String::from_utf8_lossy(executed.args[0]).into_owned();
        self.0.borrow_mut().push(format!("{}#{} {name}", executed.session, executed.nth));
        self.1.borrow_mut().push((executed.reply.clone(), executed.effects.clone()));
    }

    fn reaped(&mut self, now: UnixMicros, effects: &Effects, _: &Engine) {
        self.0.borrow_mut().push(format!("reaped {} at {}", effects.len(), now.millis()));
    }
}

/// A server, its connections, and what runs.
struct World {
    server: Server,
    clock: Clock,
    log: Log,
    tasks: Tasks,
}

impl World {
    fn new() -> Self {
        let clock = Clock(Rc::new(Cell::new(1_000_000_000)));
        let log = Log::default();
        let engine = Engine::new(Dialect::Valkey8, Interpreter::default());
        Self { server: Server::new(engine, clock.clone(), log.clone()), clock, log, tasks: Tasks::default() }
    }

    fn connect(&mut self) -> Client {
        let (stream, served) = tokio::io::duplex(1 << 20);
        let server = self.server.clone();
        self.spawn(async move { server.connection(served).await });
        Client::new(stream)
    }

    fn spawn(&mut self, work: impl Future<Output = io::Result<()>> + 'static) {
        self.tasks.spawn(work);
    }

    fn settle(&mut self) {
        self.tasks.settle();
    }

    /// Turns the clock. Whoever sleeps by it looks at it.
    fn advance_ms(&mut self, ms: u64) {
        self.clock.0.set(self.clock.0.get() + ms * 1_000);
        self.tasks.wake_all();
        self.settle();
    }

    /// Sends bytes and returns the replies that have come by the time everything is quiet.
    fn exchange(&mut self, client: &mut Client, bytes: &[u8]) -> Vec<Reply> {
        client.send(bytes);
        self.settle();
        client.replies()
    }
}

fn status(text: &'static str) -> Reply {
    Reply::Status(text.into())
}

fn array<const N: usize>(items: [&str; N]) -> Reply {
    Reply::Array(items.into_iter().map(Reply::bulk).collect())
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let mut world = World::new();
    let mut client = world.connect();
    let replies = world.exchange(&mut client, &b"PING\r\nECHO hi\r\n".repeat(1_000));
    assert_eq!(replies.len(), 2_000);
    assert_eq!(replies[1_998..], [status("PONG"), Reply::bulk("hi")]);
    assert_eq!(world.log.0.borrow()[1_999], "1#2000 ECHO");
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let mut world = World::new();
    let mut client = world.connect();
    let mut replies = Vec::new();
    for byte in b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n" {
        replies.extend(world.exchange(&mut client, &[*byte]));
    }
    assert_eq!(replies, [Reply::bulk("hi")]);
}

#[test]
fn nonsense_is_answered_and_ends_the_connection() {
    let mut world = World::new();
    let mut client = world.connect();
    let replies = world.exchange(&mut client, b"PING\r\n*1\r\nPING\r\nPING\r\n");
    let error = String::from("ERR Protocol error: expected '$', got 'P'");
    assert_eq!(replies, [status("PONG"), Reply::Error(error.into())]);
    assert!(client.is_closed());
    assert!(world.tasks.is_empty());
}

#[test]
fn quit_is_answered_and_ends_the_connection() {
    let mut world = World::new();
    let mut client = world.connect();
    assert_eq!(world.exchange(&mut client, b"QUIT\r\nPING\r\n"), [Reply::OK]);
    assert!(client.is_closed());
}

#[test]
fn a_client_that_is_gone_listens_no_more() {
    let mut world = World::new();
    let (mut listener, mut speaker) = (world.connect(), world.connect());
    world.exchange(&mut listener, b"SUBSCRIBE news\r\n");
    assert_eq!(world.exchange(&mut speaker, b"PUBLISH news 1\r\n"), [Reply::Int(1)]);
    drop(listener);
    world.settle();
    assert_eq!(world.exchange(&mut speaker, b"PUBLISH news 2\r\n"), [Reply::Int(0)]);
}

#[test]
fn a_message_reaches_those_who_listen() {
    let mut world = World::new();
    let (mut resp2, mut resp3, mut speaker) = (world.connect(), world.connect(), world.connect());
    let ack = |items: Vec<Reply>| Reply::Array(items);
    assert_eq!(
        world.exchange(&mut resp2, b"PSUBSCRIBE n* x\r\n"),
        [
            ack(vec![Reply::bulk("psubscribe"), Reply::bulk("n*"), Reply::Int(1)]),
            ack(vec![Reply::bulk("psubscribe"), Reply::bulk("x"), Reply::Int(2)]),
        ]
    );
    world.exchange(&mut resp3, b"HELLO 3\r\nSUBSCRIBE news\r\n");
    assert_eq!(world.exchange(&mut speaker, b"PUBLISH news hi\r\n"), [Reply::Int(2)]);
    assert_eq!(resp2.replies(), [array(["pmessage", "n*", "news", "hi"])]);
    let Reply::Array(message) = array(["message", "news", "hi"]) else { unreachable!() };
    assert_eq!(resp3.replies(), [Reply::Push(message)]);

    let refused = world.exchange(&mut resp2, b"GET k\r\nPING\r\n");
    assert!(
        refused[0].error().is_some_and(|error| error.0.starts_with("ERR Can't execute 'get': only (P|S)"))
    );
    assert_eq!(refused[1], array(["pong", ""]));
}

/// As real servers 8.0.1 and 7.0.15 tell it, which look at one key after the other.
#[test]
fn a_key_that_has_expired_is_told_of_where_it_stands_among_those_that_are_deleted() {
    let mut world = World::new();
    let (mut listener, mut speaker) = (world.connect(), world.connect());
    world.exchange(&mut speaker, b"CONFIG SET notify-keyspace-events Egx\r\n");
    world.exchange(&mut listener, b"PSUBSCRIBE *\r\n");
    world.exchange(&mut speaker, b"SET a 1\r\nSET b 1 PX 1\r\nSET c 1\r\n");
    listener.replies();
    world.advance_ms(2);
    assert_eq!(world.exchange(&mut speaker, b"DEL a b c a\r\n"), [Reply::Int(2)]);
    let told = |event: &str, key: &str| array(["pmessage", "*", &format!("__keyevent@0__:{event}"), key]);
    assert_eq!(listener.replies(), [told("del", "a"), told("expired", "b"), told("del", "c")]);
}

#[test]
fn a_shards_channels_are_a_world_of_their_own() {
    let mut world = World::new();
    let (mut listener, mut speaker) = (world.connect(), world.connect());
    world.exchange(&mut listener, b"SUBSCRIBE news\r\n");
    let count =
        |verb: &str, count| Reply::Array(vec![Reply::bulk(verb), Reply::bulk("news"), Reply::Int(count)]);
    assert_eq!(world.exchange(&mut listener, b"SSUBSCRIBE news\r\n"), [count("ssubscribe", 1)]);
    let said = b"SPUBLISH news hi\r\nPUBSUB SHARDCHANNELS\r\nPUBSUB SHARDNUMSUB news x\r\n";
    let numbers = vec![Reply::bulk("news"), Reply::Int(1), Reply::bulk("x"), Reply::Int(0)];
    assert_eq!(world.exchange(&mut speaker, said), [Reply::Int(1), array(["news"]), Reply::Array(numbers)]);
    assert_eq!(listener.replies(), [array(["smessage", "news", "hi"])]);
    let left = world.exchange(&mut listener, b"SUNSUBSCRIBE news\r\nUNSUBSCRIBE news\r\n");
    assert_eq!(left, [count("sunsubscribe", 0), count("unsubscribe", 0)]);
    let refused = world.exchange(&mut speaker, b"MULTI\r\nSSUBSCRIBE news\r\nEXEC\r\n");
    let error = Reply::Error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client".to_owned().into());
    assert_eq!(refused[2], Reply::Array(vec![error]));
}

#[test]
fn who_is_not_subscribed_cannot_unsubscribe_in_valkey_8() {
    let mut world = World::new();
    let mut client = world.connect();
    let refused = world.exchange(&mut client, b"UNSUBSCRIBE\r\nMULTI\r\nPUNSUBSCRIBE x*\r\nEXEC\r\n");
    let refusal =
        |verb| Reply::Error(format!("NOSUB '{verb}' command executed not in subscribed mode").into());
    assert_eq!([&refused[0], &refused[2]], [&refusal("unsubscribe"), &refusal("punsubscribe")]);
    assert!(refused[3].error().is_some_and(|error| error.0.starts_with("EXECABORT")));
}

#[test]
fn xread_block_is_woken_by_xadd() {
    let mut world = World::new();
    let (mut reader, mut writer) = (world.connect(), world.connect());
    assert_eq!(world.exchange(&mut reader, b"XREAD BLOCK 0 STREAMS other s $ $\r\nPING\r\n"), []);
    assert_eq!(world.exchange(&mut writer, b"XADD s * a 1\r\n"), [Reply::bulk("1000000-0")]);
    let entry = Reply::Array(vec![Reply::bulk("1000000-0"), array(["a", "1"])]);
    let stream = Reply::Array(vec![Reply::bulk("s"), Reply::Array(vec![entry])]);
    assert_eq!(reader.replies(), [Reply::Array(vec![stream]), status("PONG")]);
    assert_eq!(world.log.0.borrow()[..], ["1#1 XREAD", "2#1 XADD", "1#1 XREAD", "1#2 PING"]);
}

#[test]
fn xread_block_gives_up_at_its_deadline() {
    let mut world = World::new();
    let mut reader = world.connect();
    assert_eq!(world.exchange(&mut reader, b"XREAD BLOCK 50 STREAMS s $\r\n"), []);
    world.advance_ms(50);
    assert_eq!(reader.replies(), []);
    world.advance_ms(1);
    assert_eq!(reader.replies(), [Reply::NullArray]);
}

#[test]
fn who_waits_longest_for_a_sorted_set_gets_the_first_member() {
    let mut world = World::new();
    let (mut first, mut second, mut writer) = (world.connect(), world.connect(), world.connect());
    assert_eq!(world.exchange(&mut first, b"BZPOPMIN x z 0\r\n"), []);
    assert_eq!(world.exchange(&mut second, b"BZMPOP 0.05 1 z MAX COUNT 9\r\n"), []);
    // Something else under the key wakes nobody.
    world.exchange(&mut writer, b"SET z text\r\nDEL z\r\n");
    assert_eq!((first.replies(), second.replies()), (vec![], vec![]));
    assert_eq!(world.exchange(&mut writer, b"ZADD z 1 m\r\nZCARD z\r\n"), [Reply::Int(1), Reply::Int(0)]);
    assert_eq!(first.replies(), [array(["z", "m", "1"])]);
    world.advance_ms(51);
    assert_eq!(second.replies(), [Reply::NullArray]);
}

#[test]
fn who_waits_gets_what_comes_with_another_database() {
    let mut world = World::new();
    let (mut waiter, mut writer) = (world.connect(), world.connect());
    assert_eq!(world.exchange(&mut waiter, b"SELECT 1\r\nBZPOPMAX z 0\r\n"), [Reply::OK]);
    assert_eq!(world.exchange(&mut writer, b"ZADD z 1 m\r\n"), [Reply::Int(1)]);
    assert_eq!(waiter.replies(), []);
    assert_eq!(world.exchange(&mut writer, b"SWAPDB 0 1\r\n"), [Reply::OK]);
    assert_eq!(waiter.replies(), [array(["z", "m", "1"])]);
}

#[test]
fn a_client_that_does_not_read_is_served_no_further_than_its_replies_have_room() {
    let mut world = World::new();
    let (mut client, mut other) = (world.connect(), world.connect());
    let value = [b"SET k ", &vec![b'x'; 50_000][..], b"\r\n"].concat();
    world.exchange(&mut other, &value);
    client.send(&b"GET k\r\n".repeat(1_000));
    world.settle();
    // A megabyte is in the pipe, a megabyte may wait, and one more be on its way out of the server.
    let served = world.log.0.borrow().len() - 1;
    assert!((40..=63).contains(&served), "{served} of 1000 requests with 50 kB each were served");
    assert_eq!(world.exchange(&mut other, b"PING\r\n"), [status("PONG")], "nobody else waits");
    let mut replies = Vec::new();
    while replies.len() < 1_000 {
        let more = client.replies();
        assert!(!more.is_empty(), "{} replies, and no more come", replies.len());
        replies.extend(more);
        world.settle();
    }
    assert!(replies.iter().all(|reply| matches!(reply, Reply::Bulk(value) if value.len() == 50_000)));
    assert_eq!(replies.len(), 1_000);
}

#[test]
fn what_a_blocked_client_sends_on_is_read_up_to_a_megabyte() {
    let mut world = World::new();
    let (mut waiter, mut writer) = (world.connect(), world.connect());
    assert_eq!(world.exchange(&mut waiter, b"BZPOPMIN z 0\r\n"), []);
    let ping = b"PING\r\n";
    let pings = ping.repeat(1_000_000);
    let mut sent = 0;
    loop {
        let more = waiter.send_some(&pings[sent..]);
        world.settle();
        if more == 0 {
            break;
        }
        sent += more;
    }
    const MEGABYTE: usize = 1 << 20;
    let read = sent - MEGABYTE; // The pipe holds one more.
    assert!((MEGABYTE..MEGABYTE + 64 * 1024).contains(&read), "{read} bytes were read ahead");
    assert_eq!(world.log.0.borrow().len(), 1, "none of it is executed");
    world.exchange(&mut writer, b"ZADD z 1 m\r\n");
    let mut replies = Vec::new();
    loop {
        let more = waiter.replies();
        if more.is_empty() {
            break;
        }
        replies.extend(more);
        world.settle();
    }
    assert_eq!(replies[0], array(["z", "m", "1"]));
    assert_eq!(replies.len(), 1 + sent / ping.len());
}

/// A reply as a client that speaks RESP2 sees it.
fn over_the_wire(reply: &Reply) -> Reply {
    let mut bytes = Vec::new();
    resp::encode(reply, Protocol::Resp2, Dialect::Valkey8, &mut bytes);
    ReplyDecoder::default().next(&mut BytesMut::from(&bytes[..])).unwrap().expect("a whole reply")
}

/// A wait, what ends it, and its reply.
fn waits() -> Vec<(&'static str, &'static str, Reply)> {
    let entry = Reply::Array(vec![Reply::bulk("1000000-0"), array(["f", "v"])]);
    let stream = Reply::Array(vec![Reply::Array(vec![Reply::bulk("s"), Reply::Array(vec![entry])])]);
    let popped = Reply::Array(vec![Reply::bulk("z"), Reply::Array(vec![array(["m", "1"])])]);
    vec![
        ("BZPOPMIN z 0", "ZADD z 1 m", array(["z", "m", "1"])),
        ("BZPOPMAX z 0", "ZADD z 1 m", array(["z", "m", "1"])),
        ("BZMPOP 0 1 z MIN", "ZADD z 1 m", popped),
        ("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "XADD s * f v", stream.clone()),
        ("XREAD BLOCK 0 STREAMS s $", "XADD s * f v", stream),
    ]
}

#[test]
fn a_client_that_was_killed_waits_for_nothing_and_the_next_one_gets_what_comes() {
    for (wait, write, expected) in waits() {
        let mut world = World::new();
        let (mut first, mut second, mut other) = (world.connect(), world.connect(), world.connect());
        world.exchange(&mut other, b"XGROUP CREATE s g $ MKSTREAM\r\n");
        let line = format!("{wait}\r\n");
        assert_eq!(world.exchange(&mut first, line.as_bytes()), []);
        assert_eq!(world.exchange(&mut second, line.as_bytes()), []);
        // In one go: the killed connection has had no time to end.
        let sent = format!("CLIENT KILL ID 1\r\n{write}\r\nINFO clients\r\n");
        let replies = world.exchange(&mut other, sent.as_bytes());
        assert_eq!(replies[0], Reply::Int(1));
        assert!(first.is_closed(), "{wait}");
        assert_eq!(first.buffer, b""[..], "{wait}: the dead hear nothing");
        assert_eq!(second.replies(), [expected], "{wait}");
        let Reply::Bulk(info) = &world.exchange(&mut other, b"INFO clients\r\n")[0] else { panic!("INFO") };
        assert!(String::from_utf8_lossy(info).contains("blocked_clients:0"), "{wait}");
    }
}

#[test]
fn who_was_served_and_waits_again_is_the_last_in_line() {
    let mut world = World::new();
    let (mut first, mut second, mut writer) = (world.connect(), world.connect(), world.connect());
    let wait = b"BZPOPMIN z 0\r\n";
    world.exchange(&mut first, wait);
    world.exchange(&mut writer, b"ZADD z 1 a\r\n");
    assert_eq!(first.replies(), [array(["z", "a", "1"])]);
    world.exchange(&mut second, wait);
    world.exchange(&mut first, wait);
    world.exchange(&mut writer, b"ZADD z 1 b\r\n");
    assert_eq!((first.replies(), second.replies()), (vec![], vec![array(["z", "b", "1"])]));
    world.exchange(&mut writer, b"ZADD z 1 c\r\n");
    assert_eq!(first.replies(), [array(["z", "c", "1"])]);
}

#[test]
fn a_client_that_went_away_waits_for_nothing_and_the_next_one_gets_what_comes() {
    for (wait, write, expected) in waits() {
        let mut world = World::new();
        let (mut first, mut second, mut other) = (world.connect(), world.connect(), world.connect());
        world.exchange(&mut other, b"XGROUP CREATE s g $ MKSTREAM\r\n");
        let line = format!("{wait}\r\n");
        world.exchange(&mut first, line.as_bytes());
        world.exchange(&mut second, line.as_bytes());
        drop(first);
        world.settle();
        world.exchange(&mut other, format!("{write}\r\n").as_bytes());
        assert_eq!(second.replies(), [expected], "{wait}");
    }
}

#[test]
fn an_observer_sees_a_command_that_waits_when_it_begins_and_when_it_is_answered_and_never_else() {
    for (wait, write, expected) in waits() {
        let mut world = World::new();
        let (mut waiter, mut other) = (world.connect(), world.connect());
        world.exchange(&mut other, b"XGROUP CREATE s g $ MKSTREAM\r\n");
        world.exchange(&mut waiter, format!("{wait}\r\n").as_bytes());
        // What concerns the key and does not end the wait is not shown as the waiter's doing.
        world.exchange(&mut other, b"SET z 1\r\nDEL z\r\nSET unrelated 1\r\n");
        world.exchange(&mut other, format!("{write}\r\nPING\r\n").as_bytes());
        let name = wait.split(' ').next().unwrap();
        let log = world.log.0.borrow();
        let seen: Vec<usize> =
            (0..log.len()).filter(|nth| log[*nth].ends_with(&format!(" {name}"))).collect();
        let [began, ended] = seen[..] else { panic!("{name} was seen {} times: {log:?}", seen.len()) };
        assert_eq!((&log[began], &log[ended]), (&format!("1#1 {name}"), &format!("1#1 {name}")));
        let moments = world.log.1.borrow();
        assert_eq!(moments[began].0, Reply::Nothing, "{name}");
        assert!(moments[began].1.is_empty(), "{name} wrote before it had anything");
        assert_eq!(over_the_wire(&moments[ended].0), expected, "{name}");
        assert_eq!(moments[ended].1.is_empty(), name == "XREAD", "{name}: what it took is its own doing");
    }
}

#[test]
fn a_client_that_leaves_too_many_replies_unread_is_dropped_at_its_limit() {
    let mut world = World::new();
    let (mut lazy, mut other) = (world.connect(), world.connect());
    let value = [b"SET k ", &vec![b'x'; 60_000][..], b"\r\n"].concat();
    world.exchange(&mut other, &value);
    world.exchange(&mut other, b"CONFIG SET client-output-buffer-limit \"normal 300kb 0 0\"\r\n");
    world.exchange(&mut lazy, &b"GET k\r\n".repeat(5));
    assert!(!lazy.is_closed(), "five replies are under the limit");
    world.exchange(&mut lazy, &b"GET k\r\n".repeat(60));
    lazy.replies();
    assert!(lazy.is_closed(), "a megabyte in the pipe, and the limit behind it");
    assert_eq!(world.exchange(&mut other, b"PING\r\n"), [status("PONG")]);
}

#[test]
fn a_pause_holds_what_writes_and_whoever_does_not_write_goes_on() {
    let mut world = World::new();
    let (mut client, mut other) = (world.connect(), world.connect());
    world.exchange(&mut other, b"SET k v\r\nCLIENT PAUSE 1000 WRITE\r\n");
    for read in ["GET k", "PING", "ECHO k", "TTL k", "EVAL_RO \"return 1\" 0"] {
        assert_eq!(world.exchange(&mut client, format!("{read}\r\n").as_bytes()).len(), 1, "{read}");
    }
    for write in ["DEL k", "PUBLISH a b", "EVAL \"return 1\" 0", "FLUSHALL"] {
        let mut client = world.connect();
        assert_eq!(world.exchange(&mut client, format!("{write}\r\nPING\r\n").as_bytes()), [], "{write}");
        // What a client asked for that went away in the meantime is not done.
        drop(client);
        world.settle();
    }
    world.advance_ms(1_000);
    assert_eq!(world.exchange(&mut client, b"GET k\r\n"), [Reply::bulk("v")]);
}

#[test]
fn client_reply_off_and_skip_silence_replies() {
    let mut world = World::new();
    let mut client = world.connect();
    let sent = b"CLIENT REPLY SKIP\r\nPING\r\nECHO a\r\nCLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\n";
    assert_eq!(world.exchange(&mut client, sent), [Reply::bulk("a"), Reply::OK]);
}

#[test]
fn client_kill_ends_another_connection() {
    let mut world = World::new();
    let (mut victim, mut killer) = (world.connect(), world.connect());
    world.settle();
    assert_eq!(world.exchange(&mut victim, b"CLIENT ID\r\n"), [Reply::Int(1)]);
    assert_eq!(world.exchange(&mut killer, b"CLIENT KILL ID 1\r\n"), [Reply::Int(1)]);
    assert!(victim.is_closed());
}

#[test]
fn a_pause_holds_commands_until_its_time_or_until_it_is_lifted() {
    let mut world = World::new();
    let (mut client, mut other) = (world.connect(), world.connect());
    assert_eq!(world.exchange(&mut other, b"CLIENT PAUSE 50\r\n"), [Reply::OK]);
    assert_eq!(world.exchange(&mut client, b"PING\r\nECHO \"a b\"\r\n"), []);
    world.advance_ms(49);
    assert_eq!(client.replies(), []);
    world.advance_ms(1);
    assert_eq!(client.replies(), [status("PONG"), Reply::bulk("a b")]);

    world.exchange(&mut other, b"CLIENT PAUSE 5000 WRITE\r\n");
    let sent = b"GET k\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\nGET k\r\n";
    assert_eq!(world.exchange(&mut client, sent), [Reply::Null]);
    assert_eq!(world.exchange(&mut other, b"GET k\r\nCLIENT UNPAUSE\r\n"), [Reply::Null, Reply::OK]);
    world.settle();
    assert_eq!(client.replies(), [Reply::OK, Reply::bulk("v")]);
}

/// The fields of the lines of `CLIENT LIST`, client by client.
fn listed(reply: &[Reply]) -> Vec<Vec<String>> {
    let [Reply::Bulk(list)] = reply else { panic!("one list: {reply:?}") };
    let lines = String::from_utf8_lossy(list);
    lines.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

#[test]
fn client_list_shows_what_every_client_does() {
    let mut world = World::new();
    let mut clients: Vec<Client> = (0..5).map(|_| world.connect()).collect();
    let [listener, waiting, queueing, watching, asking] = &mut clients[..] else { unreachable!() };
    world.exchange(listener, b"SUBSCRIBE a b\r\nPSUBSCRIBE c*\r\n");
    world.advance_ms(3_000);
    world.exchange(waiting, b"HELLO 3\r\nXREAD BLOCK 0 STREAMS s $\r\n");
    world.exchange(queueing, b"SELECT 3\r\nMULTI\r\nGET k\r\nGET kkkkkkk\r\n");
    world.exchange(watching, b"WATCH a b\r\nCLIENT NO-EVICT ON\r\nCLIENT SETNAME w\r\nXINFO HELP\r\n");
    let list = listed(&world.exchange(asking, b"CLIENT LIST\r\n"));
    for (client, fields) in [
        &["id=1", "age=3", "idle=3", "flags=P", "sub=2", "psub=1", "cmd=psubscribe"][..],
        &["id=2", "idle=0", "flags=b", "cmd=xread", "resp=3"],
        &["id=3", "flags=x", "db=3", "multi=2", "multi-mem=46", "cmd=get"],
        &["id=4", "name=w", "flags=e", "watch=2", "cmd=xinfo|help", "tot-cmds=4"],
        &["id=5", "flags=N", "multi=-1", "watch=0", "cmd=client|list", "user=default", "resp=2"],
    ]
    .into_iter()
    .enumerate()
    {
        for field in fields {
            assert!(list[client].iter().any(|found| found == field), "{field} in {:?}", list[client]);
        }
    }
    let ids = |reply: &[Reply]| listed(reply).iter().map(|line| line[0].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&world.exchange(asking, b"CLIENT LIST TYPE pubsub\r\n")), ["id=1"]);
    assert_eq!(ids(&world.exchange(asking, b"CLIENT LIST ID 9 3 2\r\n")), ["id=2", "id=3"]);
}

#[test]
fn client_kill_ends_those_whom_its_filters_name() {
    let mut world = World::new();
    let mut clients: Vec<Client> = (0..4).map(|_| world.connect()).collect();
    let [listener, old, other, killer] = &mut clients[..] else { unreachable!() };
    world.exchange(listener, b"SUBSCRIBE a\r\n");
    let address = listed(&world.exchange(old, b"CLIENT INFO\r\n"))[0][1].replace("addr=", "");
    let none = [Reply::Int(0)];
    assert_eq!(world.exchange(killer, b"CLIENT KILL TYPE pubsub ID 2\r\n"), none);
    assert_eq!(world.exchange(killer, b"CLIENT KILL MAXAGE 5\r\n"), none);
    assert_eq!(world.exchange(killer, b"CLIENT KILL ADDR 1.2.3.4:5\r\n"), none);
    assert_eq!(world.exchange(killer, b"CLIENT KILL TYPE pubsub USER default\r\n"), [Reply::Int(1)]);
    assert!(listener.is_closed());
    assert_eq!(world.exchange(killer, format!("CLIENT KILL {address}\r\n").as_bytes()), [Reply::OK]);
    assert!(old.is_closed());
    world.advance_ms(5_000);
    assert_eq!(world.exchange(killer, b"CLIENT KILL MAXAGE 5\r\n"), [Reply::Int(1)]);
    assert!(other.is_closed());
    assert_eq!(world.exchange(killer, b"CLIENT KILL ID 4 SKIPME no\r\n"), [Reply::Int(1)]);
    assert!(killer.is_closed());
}

#[test]
fn client_unblock_ends_a_wait() {
    let mut world = World::new();
    let (mut reader, mut other) = (world.connect(), world.connect());
    let wait = b"XREAD BLOCK 0 STREAMS s $\r\n";
    assert_eq!(world.exchange(&mut other, b"CLIENT UNBLOCK 1\r\n"), [Reply::Int(0)]);
    world.exchange(&mut reader, wait);
    let blocked = |reply: &[Reply]| format!("{reply:?}").contains("blocked_clients:1");
    assert!(blocked(&world.exchange(&mut other, b"INFO clients\r\n")));
    assert_eq!(world.exchange(&mut other, b"CLIENT UNBLOCK 1\r\n"), [Reply::Int(1)]);
    assert_eq!(reader.replies(), [Reply::NullArray]);
    assert!(!blocked(&world.exchange(&mut other, b"INFO clients\r\n")));
    world.exchange(&mut reader, wait);
    assert_eq!(world.exchange(&mut other, b"CLIENT UNBLOCK 1 ERROR\r\n"), [Reply::Int(1)]);
    let error = String::from("UNBLOCKED client unblocked via CLIENT UNBLOCK");
    assert_eq!(reader.replies(), [Reply::Error(error.into())]);
    assert_eq!(world.exchange(&mut reader, b"PING\r\n"), [status("PONG")]);
}

fn address(port: u16) -> Address {
    Address { host: "10.0.0.1".to_owned(), port }
}

#[test]
fn wait_ends_when_a_replica_acknowledges_at_its_deadline_and_by_client_unblock() {
    let mut world = World::new();
    let (mut writer, mut other) = (world.connect(), world.connect());
    let now = world.clock.now();
    world.server.with_engine(|engine| engine.attach_replica(ReplicaId(1), address(1), now));
    let write_and_wait = b"SET k v\r\nWAIT 1 50\r\nPING\r\n";
    assert_eq!(world.exchange(&mut writer, write_and_wait), [Reply::OK]);
    world.server.with_engine(|engine| {
        let end = engine.replication().offset();
        engine.acknowledge(ReplicaId(1), end, None, now);
    });
    world.settle();
    assert_eq!(writer.replies(), [Reply::Int(1), status("PONG")]);
    assert_eq!(world.exchange(&mut writer, write_and_wait), [Reply::OK]);
    world.advance_ms(50);
    assert_eq!(writer.replies(), []);
    world.advance_ms(1);
    assert_eq!(writer.replies(), [Reply::Int(0), status("PONG")]);
    assert_eq!(world.exchange(&mut writer, write_and_wait), [Reply::OK]);
    assert_eq!(world.exchange(&mut other, b"CLIENT UNBLOCK 1\r\n"), [Reply::Int(1)]);
    assert_eq!(writer.replies(), [Reply::Int(0), status("PONG")]);
    assert!(!world.server.with_engine(|engine| engine.wants_acknowledgements()));
    assert_eq!(world.exchange(&mut writer, b"WAIT 2 0\r\n"), []);
    world.server.with_engine(|engine| engine.follow(address(2)));
    world.settle();
    assert!(format!("{:?}", writer.replies()).contains("UNBLOCKED force unblock"));
}

#[test]
fn what_comes_from_the_primary_wakes_who_reads_from_its_replica() {
    let mut world = World::new();
    let now = world.clock.now();
    let mut primary = Engine::new(Dialect::Valkey8, Interpreter::default());
    let link = world
        .server
        .with_engine(|engine| Link::open(ReplicaId(1), address(2), engine, &mut primary, address(1), now));
    let mut link = link.unwrap();
    let mut reader = world.connect();
    assert_eq!(world.exchange(&mut reader, b"XREAD BLOCK 0 STREAMS s $\r\n"), []);
    let mut client = primary.connect();
    let add: [&[u8]; 5] = [b"XADD", b"s", b"1-1", b"a", b"1"];
    primary.execute(&mut client, &add, now, &mut Effects::default());
    link.send(&primary).unwrap();
    assert_eq!(world.server.apply_next(&mut link), Ok(None), "it has not arrived");
    link.receive(u64::MAX);
    assert!(world.server.apply_next(&mut link).unwrap().is_some());
    world.settle();
    assert!(format!("{:?}", reader.replies()).contains("1-1"));
}

#[test]
fn a_monitor_sees_what_all_others_do() {
    let mut world = World::new();
    let (mut monitor, mut other) = (world.connect(), world.connect());
    assert_eq!(world.exchange(&mut monitor, b"MONITOR\r\n"), [Reply::OK]);
    world.exchange(
        &mut other,
        b"AUTH default x\r\nSELECT 2\r\nSET k \"a\\n\\x01\"\r\nCONFIG GET port\r\nGET\r\n",
    );
    world.exchange(&mut other, b"EVAL \"return redis.call('get', 'k')\" 0\r\n");
    world.exchange(&mut other, b"MULTI\r\nECHO q\r\nEXEC\r\n");
    let seen: Vec<String> = monitor.replies().into_iter().map(|reply| format!("{reply:?}")).collect();
    let from = "1000.000000 [2 127.0.0.1:10002]";
    for (line, expected) in seen.iter().zip([
        r#"1000.000000 [0 127.0.0.1:10002] "AUTH" "(redacted)" "(redacted)""#.to_owned(),
        format!(r#"{from} "SELECT" "2""#),
        format!(r#"{from} "SET" "k" "a\n\x01""#),
        format!(r#"{from} "EVAL" "return redis.call('get', 'k')" "0""#),
        r#"1000.000000 [2 lua] "get" "k""#.to_owned(),
        format!(r#"{from} "MULTI""#),
        format!(r#"{from} "ECHO" "q""#),
        format!(r#"{from} "EXEC""#),
    ]) {
        assert_eq!(*line, format!("Status({expected:?})"));
    }
    assert_eq!(seen.len(), 8);
}

#[test]
fn a_listener_that_does_not_read_is_dropped_at_its_limit() {
    let mut world = World::new();
    let (mut listener, mut speaker) = (world.connect(), world.connect());
    world.exchange(&mut listener, b"SUBSCRIBE news\r\n");
    world.exchange(&mut speaker, b"CONFIG SET client-output-buffer-limit \"pubsub 3mb 2mb 10\"\r\n");
    let message = [b"PUBLISH news ", &vec![b'x'; 60_000][..], b"\r\n"].concat();
    // The pipe to the listener takes a megabyte, and the server keeps the rest.
    let mut publish = |world: &mut World, times| {
        let mut heard = Vec::new();
        for _ in 0..times {
            heard = world.exchange(&mut speaker, &message);
        }
        heard
    };
    assert_eq!(publish(&mut world, 60), [Reply::Int(1)], "under the hard limit");
    world.advance_ms(10_999);
    assert_eq!(publish(&mut world, 1), [Reply::Int(1)], "not long enough over the soft limit");
    world.advance_ms(1);
    publish(&mut world, 1);
    assert_eq!(publish(&mut world, 1), [Reply::Int(0)], "too long over the soft limit");

    let mut listener = world.connect();
    world.exchange(&mut listener, b"SUBSCRIBE news\r\n");
    publish(&mut world, 80);
    assert_eq!(publish(&mut world, 1), [Reply::Int(0)], "over the hard limit");
}

#[test]
fn the_time_over_the_soft_limit_starts_anew_when_the_client_has_read() {
    let mut world = World::new();
    let (mut listener, mut speaker) = (world.connect(), world.connect());
    world.exchange(&mut listener, b"SUBSCRIBE news\r\n");
    world.exchange(&mut speaker, b"CONFIG SET client-output-buffer-limit \"pubsub 0 1mb 10\"\r\n");
    let message = [b"PUBLISH news ", &vec![b'x'; 60_000][..], b"\r\n"].concat();
    let mut publish = |world: &mut World, times| {
        (0..times).map(|_| world.exchange(&mut speaker, &message)).last().expect("at least one")
    };
    publish(&mut world, 50);
    world.advance_ms(8_000);
    while !listener.replies().is_empty() {
        world.settle();
    }
    assert_eq!(publish(&mut world, 50), [Reply::Int(1)]);
    world.advance_ms(8_000);
    assert_eq!(publish(&mut world, 2), [Reply::Int(1)], "not yet long enough at a stretch");
    world.advance_ms(3_000);
    publish(&mut world, 1);
    assert_eq!(publish(&mut world, 1), [Reply::Int(0)]);
}

#[test]
fn an_argument_is_as_long_as_the_server_allows() {
    let mut world = World::new();
    let (mut client, mut other) = (world.connect(), world.connect());
    assert_eq!(world.exchange(&mut client, b"CONFIG SET proto-max-bulk-len 1mb\r\n"), [Reply::OK]);
    let error = String::from("ERR Protocol error: invalid bulk length");
    assert_eq!(world.exchange(&mut client, b"*1\r\n$1048576\r\n"), []);
    assert_eq!(world.exchange(&mut other, b"*1\r\n$1048577\r\n"), [Reply::Error(error.into())]);
    assert!(other.is_closed());
    assert!(!client.is_closed());
}

#[test]
fn a_request_that_fills_the_query_buffer_ends_the_connection_unanswered() {
    let mut world = World::new();
    let mut client = world.connect();
    world.exchange(&mut client, b"CONFIG SET client-query-buffer-limit 1mb\r\n");
    assert_eq!(world.exchange(&mut client, b"*9\r\n$2000000\r\n"), []);
    let half = vec![b'x'; 600_000];
    assert_eq!(world.exchange(&mut client, &half), []);
    assert!(!client.is_closed());
    assert_eq!(world.exchange(&mut client, &half), []);
    assert!(client.is_closed());
}

#[test]
fn expired_keys_are_reaped_at_the_next_tick() {
    use valkey_sim::engine::UnixMillis;
    let mut world = World::new();
    let server = world.server.clone();
    world.spawn(async move {
        server.housekeeping().await;
        Ok(())
    });
    world.settle();
    let now = world.clock.now();
    world.server.with_engine(|engine| {
        let (mut session, mut effects) = (engine.connect(), Effects::default());
        engine.execute(&mut session, &[b"SET", b"k", b"v", b"PX", b"120"], now, &mut effects);
        assert_eq!(engine.next_expiry(), Some(UnixMillis(1_000_120)));
    });
    world.advance_ms(199);
    assert!(world.log.0.borrow().is_empty());
    world.advance_ms(1);
    assert_eq!(world.log.0.borrow()[..], ["reaped 1 at 1000200"]);
}

#[test]
fn who_waits_for_a_group_is_told_when_its_stream_expires() {
    let mut world = World::new();
    let server = world.server.clone();
    world.spawn(async move {
        server.housekeeping().await;
        Ok(())
    });
    let (mut waiter, mut other) = (world.connect(), world.connect());
    world.exchange(&mut other, b"XGROUP CREATE s g $ MKSTREAM\r\nPEXPIRE s 120\r\n");
    assert_eq!(world.exchange(&mut waiter, b"XREADGROUP GROUP g c BLOCK 0 STREAMS s >\r\n"), []);
    world.advance_ms(199);
    assert_eq!(waiter.replies(), []);
    world.advance_ms(1);
    let told = waiter.replies();
    assert!(
        told.len() == 1 && told[0].error().is_some_and(|error| error.0.starts_with("NOGROUP")),
        "{told:?}"
    );
}
