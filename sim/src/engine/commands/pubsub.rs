//! Publish and subscribe.

use bytes::Bytes;

use super::{Command, Flags, Keys, reference, resolve};
use crate::engine::{CommandResult, Context, ErrorReply, Reply, glob, pubsub::Kind};

const LISTEN: Flags = Flags::PUBSUB.and(Flags::NOSCRIPT);

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("PUBLISH", 3, Flags::PUBSUB.and(Flags::FAST).and(Flags::MAY_REPLICATE), publish)
        .on(Keys::None),
    Command::new("SUBSCRIBE", -2, LISTEN, subscribe).on(Keys::None),
    Command::new("UNSUBSCRIBE", -1, LISTEN, unsubscribe).on(Keys::None),
    Command::new("PSUBSCRIBE", -2, LISTEN, psubscribe).on(Keys::None),
    Command::new("PUNSUBSCRIBE", -1, LISTEN, punsubscribe).on(Keys::None),
    Command::new("SPUBLISH", 3, Flags::PUBSUB.and(Flags::FAST).and(Flags::MAY_REPLICATE), publish_in_shard)
        .on(Keys::FIRST),
    Command::new("SSUBSCRIBE", -2, LISTEN, ssubscribe).on(Keys::ALL),
    Command::new("SUNSUBSCRIBE", -1, LISTEN, sunsubscribe).on(Keys::ALL),
    Command::new("PUBSUB", -2, Flags::NONE, resolve::container).containing(PUBSUB),
];

/// The subcommands of PUBSUB.
pub const PUBSUB: &[Command] = &[
    Command::new("PUBSUB|CHANNELS", -2, Flags::PUBSUB, |cx| channels(cx, Kind::Channel)),
    Command::new("PUBSUB|NUMSUB", -2, Flags::PUBSUB, |cx| numsub(cx, Kind::Channel)),
    Command::new("PUBSUB|NUMPAT", 2, Flags::PUBSUB, numpat),
    Command::new("PUBSUB|SHARDCHANNELS", -2, Flags::PUBSUB, |cx| channels(cx, Kind::Shard)),
    Command::new("PUBSUB|SHARDNUMSUB", -2, Flags::PUBSUB, |cx| numsub(cx, Kind::Shard)),
    Command::new("PUBSUB|HELP", 2, Flags::NONE, reference::help),
];

/// A message leaves the keyspace alone. A server sends it to its replicas all the same, whose clients may listen (Valkey 8
/// and Redis 7: `forceCommandPropagation` in `publishCommand`), so it is an effect.
fn publish(cx: &mut Context<'_>) -> CommandResult {
    cx.propagate();
    let receivers = cx.engine.pubsub.publish(cx.arg(1), cx.arg(2));
    Ok(Reply::Int(receivers as i64))
}

fn publish_in_shard(cx: &mut Context<'_>) -> CommandResult {
    cx.propagate();
    let receivers = cx.engine.pubsub.publish_in_shard(cx.arg(1), cx.arg(2));
    Ok(Reply::Int(receivers as i64))
}

fn subscribe(cx: &mut Context<'_>) -> CommandResult {
    listen(cx, Kind::Channel, "subscribe")
}

fn psubscribe(cx: &mut Context<'_>) -> CommandResult {
    listen(cx, Kind::Pattern, "psubscribe")
}

fn ssubscribe(cx: &mut Context<'_>) -> CommandResult {
    if cx.session.deny_blocking {
        return Err(ErrorReply::new("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    listen(cx, Kind::Shard, "ssubscribe")
}

fn unsubscribe(cx: &mut Context<'_>) -> CommandResult {
    leave(cx, Kind::Channel, "unsubscribe")
}

fn punsubscribe(cx: &mut Context<'_>) -> CommandResult {
    leave(cx, Kind::Pattern, "punsubscribe")
}

fn sunsubscribe(cx: &mut Context<'_>) -> CommandResult {
    leave(cx, Kind::Shard, "sunsubscribe")
}

fn listen(cx: &mut Context<'_>, kind: Kind, verb: &'static str) -> CommandResult {
    for name in &cx.args[1..] {
        let name = Bytes::copy_from_slice(name);
        cx.engine.pubsub.subscribe(kind, &name, cx.session);
        acknowledge(cx, kind, verb, Reply::Bulk(name));
    }
    Ok(Reply::Nothing)
}

fn leave(cx: &mut Context<'_>, kind: Kind, verb: &'static str) -> CommandResult {
    let names: Vec<Bytes> = match &cx.args[1..] {
        [] => cx.session.subscribed(kind).iter().cloned().collect(),
        some => some.iter().map(|name| Bytes::copy_from_slice(name)).collect(),
    };
    if names.is_empty() {
        acknowledge(cx, kind, verb, Reply::Null);
    }
    for name in names {
        cx.engine.pubsub.unsubscribe(kind, &name, cx.session);
        acknowledge(cx, kind, verb, Reply::Bulk(name));
    }
    Ok(Reply::Nothing)
}

/// Each channel is answered on its own, with the number of subscriptions that there are then: shards are counted apart.
fn acknowledge(cx: &mut Context<'_>, kind: Kind, verb: &'static str, name: Reply) {
    let verb = Reply::Bulk(Bytes::from_static(verb.as_bytes()));
    let of_shards = cx.session.shard_channels.len();
    let count = if kind == Kind::Shard { of_shards } else { cx.session.subscriptions() - of_shards };
    let count = Reply::Int(count as i64);
    cx.session.pushes.push_back(Reply::Push(vec![verb, name, count]));
}

fn channels(cx: &mut Context<'_>, kind: Kind) -> CommandResult {
    if cx.args.len() > 3 {
        return Err(cx.wrong_subcommand("PUBSUB"));
    }
    let pattern = cx.opt(2).unwrap_or(b"*");
    let channels = cx.engine.pubsub.listeners(kind).keys().filter(|name| glob::matches(pattern, name));
    Ok(Reply::Array(channels.map(|name| Reply::Bulk(name.clone())).collect()))
}

fn numsub(cx: &mut Context<'_>, kind: Kind) -> CommandResult {
    let mut counts = Vec::new();
    for channel in &cx.args[2..] {
        let listeners = cx.engine.pubsub.listeners(kind).get(*channel).map_or(0, Vec::len);
        counts.extend([Reply::bulk(channel), Reply::Int(listeners as i64)]);
    }
    Ok(Reply::Array(counts))
}

fn numpat(cx: &mut Context<'_>) -> CommandResult {
    Ok(Reply::Int(cx.engine.pubsub.listeners(Kind::Pattern).len() as i64))
}
