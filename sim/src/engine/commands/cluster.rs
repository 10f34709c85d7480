//! CLUSTER: a server that is none says so; one that was told to be one is all of it, and has all slots.
//!
//! Not here: other nodes, slots that move, and the refusal of commands with keys of several slots.

use super::{Command, Flags};
use crate::engine::{CommandResult, Context, Dialect, Engine, ErrorReply, Reply, number::parse_i64, resolve};

const FAST: Flags = Flags::FAST;
const ADMIN: Flags = Flags::ADMIN;

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("CLUSTER", -2, Flags::NONE, resolve::container).containing(SUBCOMMANDS),
    Command::new("READONLY", 1, FAST, read_only),
    Command::new("READWRITE", 1, FAST, read_only),
    Command::new("ASKING", 1, FAST, |cx| needs_cluster(cx).map(|()| Reply::OK)),
];

const SUBCOMMANDS: &[Command] = &[
    Command::new("CLUSTER|COUNTKEYSINSLOT", 3, Flags::NONE, count_keys),
    Command::new("CLUSTER|GETKEYSINSLOT", 4, Flags::NONE, get_keys),
    Command::new("CLUSTER|HELP", 2, Flags::NONE, help),
    Command::new("CLUSTER|INFO", 2, Flags::NONE, info),
    Command::new("CLUSTER|KEYSLOT", 3, Flags::NONE, key_slot),
    Command::new("CLUSTER|LINKS", 2, Flags::NONE, nothing),
    Command::new("CLUSTER|MYID", 2, Flags::NONE, my_id),
    Command::new("CLUSTER|MYSHARDID", 2, Flags::VALKEY_ONLY, my_shard_id),
    Command::new("CLUSTER|NODES", 2, Flags::NONE, nodes),
    Command::new("CLUSTER|REPLICAS", 3, ADMIN, replicas),
    Command::new("CLUSTER|SHARDS", 2, Flags::NONE, shards),
    Command::new("CLUSTER|SLAVES", 3, ADMIN, replicas),
    Command::new("CLUSTER|SLOTS", 2, Flags::NONE, slots),
];

/// How many slots there are.
const SLOTS: u16 = 16_384;

const DISABLED: ErrorReply = ErrorReply::new("ERR This instance has cluster support disabled");

fn needs_cluster(cx: &Context<'_>) -> Result<(), ErrorReply> {
    if cx.engine.is_cluster { Ok(()) } else { Err(DISABLED) }
}

/// Valkey 8 takes it from everyone.
fn read_only(cx: &mut Context<'_>) -> CommandResult {
    if cx.engine.dialect() == Dialect::Redis7 {
        needs_cluster(cx)?;
    }
    Ok(Reply::OK)
}

fn help(cx: &mut Context<'_>) -> CommandResult {
    needs_cluster(cx)?;
    super::reference::help(cx)
}

fn nothing(cx: &mut Context<'_>) -> CommandResult {
    needs_cluster(cx)?;
    Ok(Reply::Array(Vec::new()))
}

fn replicas(cx: &mut Context<'_>) -> CommandResult {
    needs_cluster(cx)?;
    if cx.arg(2) != cx.engine.node_id().as_bytes() {
        return Err(format!("ERR Unknown node {}", ErrorReply::quote(cx.arg(2))).into());
    }
    Ok(Reply::Array(Vec::new()))
}

/// CRC-16 as XMODEM has it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 },
        )
    })
}

/// The slot of a key: of what stands between its first braces, if anything does.
fn slot_of(key: &[u8]) -> u16 {
    let open = key.iter().position(|byte| *byte == b'{').map(|at| &key[at + 1..]);
    let tag = open.and_then(|rest| Some(&rest[..rest.iter().position(|byte| *byte == b'}')?]));
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key)) % SLOTS
}

fn key_slot(cx: &mut Context<'_>) -> CommandResult {
    needs_cluster(cx)?;
    Ok(Reply::Int(slot_of(cx.arg(2)).into()))
}

fn slot(text: &[u8]) -> Result<u16, ErrorReply> {
    const BAD: ErrorReply = ErrorReply::new("ERR Invalid slot");
    u16::try_from(parse_i64(text)?).ok().filter(|slot| *slot < SLOTS).ok_or(BAD)
}

fn count_keys(cx: &mut Context<'_>) -> CommandResult {
    needs_cluster(cx)?;
    let slot = slot(cx.arg(2))?;
    Ok(Reply::Int(cx.engine.db.iter().filter(|(key, _)| slot_of(key) == slot).count() as i64))
}

fn get_keys(cx: &mut Context<'_>) -> CommandResult {
    needs_cluster(cx)?;
    const BAD: ErrorReply = ErrorReply::new("ERR Invalid slot or number of keys");
    let (slot, count) = (parse_i64(cx.arg(2))?, parse_i64(cx.arg(3))?);
    let slot = u16::try_from(slot).ok().filter(|slot| *slot < SLOTS).ok_or(BAD)?;
    let count = usize::try_from(count).map_err(|_| BAD)?;
    let keys = cx.engine.db.iter().filter(|(key, _)| slot_of(key) == slot).take(count);
    Ok(Reply::Array(keys.map(|(key, _)| Reply::Bulk(key.clone())).collect()))
}

fn info(cx: &mut Context<'_>) -> CommandResult {
    needs_cluster(cx)?;
    let lines = [
        ("cluster_state", "ok"),
        ("cluster_slots_assigned", "16384"),
        ("cluster_slots_ok", "16384"),
        ("cluster_slots_pfail", "0"),
        ("cluster_slots_fail", "0"),
        ("cluster_known_nodes", "1"),
        ("cluster_size", "1"),
        ("cluster_current_epoch", "0"),
        ("cluster_my_epoch", "0"),
        ("cluster_stats_messages_sent", "0"),
        ("cluster_stats_messages_received", "0"),
        ("total_cluster_links_buffer_limit_exceeded", "0"),
    ];
    let text: String = lines.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
    Ok(Reply::Verbatim(*b"txt", text.into()))
}

fn my_id(cx: &mut Context<'_>) -> CommandResult {
    needs_cluster(cx)?;
    Ok(Reply::bulk(cx.engine.node_id()))
}

fn my_shard_id(cx: &mut Context<'_>) -> CommandResult {
    needs_cluster(cx)?;
    Ok(Reply::bulk(format!("{:040x}", !cx.engine.seed)))
}

fn nodes(cx: &mut Context<'_>) -> CommandResult {
    needs_cluster(cx)?;
    let (id, port) = (cx.engine.node_id(), cx.engine.port());
    let line = format!("{id} :{port}@{} myself,master - 0 0 0 connected 0-16383\n", port + 10_000);
    Ok(Reply::Verbatim(*b"txt", line.into()))
}

fn slots(cx: &mut Context<'_>) -> CommandResult {
    needs_cluster(cx)?;
    let node = vec![
        Reply::bulk(""),
        Reply::Int(cx.engine.port()),
        Reply::bulk(cx.engine.node_id()),
        Reply::Array(Vec::new()),
    ];
    let all = vec![Reply::Int(0), Reply::Int(i64::from(SLOTS) - 1), Reply::Array(node)];
    Ok(Reply::Array(vec![Reply::Array(all)]))
}

fn shards(cx: &mut Context<'_>) -> CommandResult {
    needs_cluster(cx)?;
    let map = |pairs: Vec<(&'static str, Reply)>| {
        Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect())
    };
    let node = map(vec![
        ("id", Reply::bulk(cx.engine.node_id())),
        ("port", Reply::Int(cx.engine.port())),
        ("ip", Reply::bulk("")),
        ("endpoint", Reply::bulk("")),
        ("role", Reply::bulk("master")),
        ("replication-offset", Reply::Int(cx.engine.replication().offset().0 as i64)),
        ("health", Reply::bulk("online")),
    ]);
    let all = vec![Reply::Int(0), Reply::Int(i64::from(SLOTS) - 1)];
    Ok(Reply::Array(vec![map(vec![("slots", Reply::Array(all)), ("nodes", Reply::Array(vec![node]))])]))
}

impl Engine {
    /// Has it answer as a cluster of one node, which has all slots.
    pub fn be_cluster(&mut self) {
        self.is_cluster = true;
    }

    fn node_id(&self) -> String {
        format!("{:040x}", self.seed)
    }

    fn port(&self) -> i64 {
        self.config.number("port") as i64
    }
}
