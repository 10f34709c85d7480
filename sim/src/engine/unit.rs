//! Units: what one command wrote, in the form in which a server writes it to its file and to its replicas.
//!
//! Several effects of one command stand between `MULTI` and `EXEC`, so that nobody ever executes half of them. Not here:
//! who keeps units, and for how long.

use super::{Dialect, Effect, Effects, UnixMicros};
use crate::resp::encode_request;

/// A place in a stream of units: how many bytes of it come before, as a real server counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

/// One unit of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// What the command wrote.
    pub effects: Effects,
    /// The clock of the server that executed the command.
    pub now: UnixMicros,
    /// Where it begins in the stream.
    pub start: Offset,
    /// Where it ends: the offset of a server that has executed it.
    pub end: Offset,
}

/// Whether an effect is a published message: replicas are sent it, and a file has no use for it.
pub fn is_message(effect: &Effect<'_>) -> bool {
    matches!(effect.name(), b"PUBLISH" | b"SPUBLISH")
}

/// Appends a unit to `out` as a sequence of requests, without the effects that are not `kept`. A `database` is selected
/// before the first effect, unless that says itself which one it is for. Valkey does so within the transaction, Redis 7.0
/// before it.
pub fn encode(
    effects: &Effects,
    database: Option<u8>,
    dialect: Dialect,
    kept: impl Fn(&Effect<'_>) -> bool,
    out: &mut Vec<u8>,
) {
    let selects = |effect: &Effect<'_>| effect.name() == b"SELECT";
    let is_many = effects.iter().filter(|effect| !selects(effect)).count() > 1;
    let number = database.map(|database| database.to_string());
    let mut requests: Vec<Vec<&[u8]>> =
        effects.iter().filter(kept).map(|effect| effect.args().collect()).collect();
    if let Some(number) = &number
        && effects.iter().next().is_some_and(|first| !selects(&first))
    {
        requests.insert(0, vec![b"SELECT", number.as_bytes()]);
    }
    if is_many {
        let is_chosen_before =
            dialect == Dialect::Redis7 && requests.first().is_some_and(|it| it[0] == b"SELECT");
        requests.insert(usize::from(is_chosen_before), vec![b"MULTI"]);
        requests.push(vec![b"EXEC"]);
    }
    for request in requests {
        encode_request(request.into_iter(), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(commands: &[&[&[u8]]], database: Option<u8>, kept: impl Fn(&Effect<'_>) -> bool) -> String {
        encoded_as(Dialect::Valkey8, commands, database, kept)
    }

    fn encoded_as(
        dialect: Dialect,
        commands: &[&[&[u8]]],
        database: Option<u8>,
        kept: impl Fn(&Effect<'_>) -> bool,
    ) -> String {
        let (mut effects, mut out) = (Effects::default(), Vec::new());
        commands.iter().for_each(|command| effects.push(command));
        encode(&effects, database, dialect, kept, &mut out);
        let words = String::from_utf8(out).unwrap();
        let is_word = |line: &&str| !line.starts_with(['*', '$']) && !line.is_empty();
        words.split("\r\n").filter(is_word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_more_than_one_write_stands_between_multi_and_exec() {
        let (set, del): (&[&[u8]], &[&[u8]]) = (&[b"SET", b"k", b"v"], &[b"DEL", b"k"]);
        let select: &[&[u8]] = &[b"SELECT", b"3"];
        assert_eq!(encoded(&[set], None, |_| true), "SET k v");
        assert_eq!(encoded(&[set], Some(0), |_| true), "SELECT 0 SET k v");
        assert_eq!(encoded(&[select, set], Some(0), |_| true), "SELECT 3 SET k v");
        assert_eq!(encoded(&[set, del], Some(2), |_| true), "MULTI SELECT 2 SET k v DEL k EXEC");
        let on_redis = encoded_as(Dialect::Redis7, &[set, del], Some(2), |_| true);
        assert_eq!(on_redis, "SELECT 2 MULTI SET k v DEL k EXEC");
        let publish: &[&[u8]] = &[b"PUBLISH", b"c", b"m"];
        assert_eq!(encoded(&[set, publish], None, |effect| !is_message(effect)), "MULTI SET k v EXEC");
    }
}
