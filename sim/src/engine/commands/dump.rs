//! DUMP and RESTORE: values on their way from one server to another.

use bytes::Bytes;

use super::{
    Command, Flags, Keys,
    parse::{Words, is},
};
use crate::engine::{
    CommandResult, Context, ErrorReply, Reply, SYNTAX, UnixMillis,
    number::parse_i64,
    rdb::{self, Refused},
};

const READ: Flags = Flags::READONLY.and(Flags::LINEAR);
const GROW: Flags = Flags::WRITE.and(Flags::DENYOOM);

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("DUMP", 2, READ, dump).on(Keys::FIRST),
    Command::new("RESTORE", -4, GROW, restore).on(Keys::FIRST),
];

fn dump(cx: &mut Context<'_>) -> CommandResult {
    let (dialect, compact) = (cx.engine.dialect(), cx.engine.config.compact);
    Ok(match cx.get(cx.arg(1)) {
        Some(value) => Reply::Bulk(rdb::dump(value, dialect, &compact).into()),
        None => Reply::Null,
    })
}

/// The options of RESTORE. How a key was used is checked and not kept.
#[derive(Default)]
struct Options {
    replace: bool,
    is_absolute: bool,
    idle: Option<i64>,
    frequency: Option<i64>,
}

impl Options {
    fn parse(cx: &Context<'_>) -> Result<Self, ErrorReply> {
        let mut options = Self::default();
        let mut words = Words::from(cx, 4);
        while let Some(word) = words.next() {
            if is(word, "REPLACE") {
                options.replace = true;
            } else if is(word, "ABSTTL") {
                options.is_absolute = true;
            } else if is(word, "IDLETIME") && options.frequency.is_none() {
                let idle = words.integer()?;
                if idle < 0 {
                    return Err(ErrorReply::new("ERR Invalid IDLETIME value, must be >= 0"));
                }
                options.idle = Some(idle);
            } else if is(word, "FREQ") && options.idle.is_none() {
                let frequency = words.integer()?;
                if !(0..=255).contains(&frequency) {
                    return Err(ErrorReply::new("ERR Invalid FREQ value, must be >= 0 and <= 255"));
                }
                options.frequency = Some(frequency);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }
}

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ n]`.
fn restore(cx: &mut Context<'_>) -> CommandResult {
    let (name, key, payload) = (cx.arg(0), cx.arg(1), cx.arg(3));
    let options = Options::parse(cx)?;
    if !options.replace && cx.exists(key) {
        return Err(ErrorReply::new("BUSYKEY Target key name already exists."));
    }
    let ttl = parse_i64(cx.arg(2))?;
    if ttl < 0 {
        return Err(ErrorReply::new("ERR Invalid TTL value, must be >= 0"));
    }
    let value = rdb::restore(payload, cx.engine.dialect()).map_err(|refused| {
        ErrorReply::new(match refused {
            Refused::Checksum => "ERR DUMP payload version or checksum are wrong",
            Refused::Format => "ERR Bad data format",
        })
    })?;
    let ends_at = match (ttl, options.is_absolute) {
        (0, _) => None,
        (at, true) => Some(UnixMillis(at)),
        (ttl, false) => Some(UnixMillis(cx.now_ms().0.wrapping_add(ttl))),
    };
    // A replica keeps even what is over: its primary says when it goes.
    if ends_at.is_some_and(|at| at <= cx.now_ms()) && !cx.session.from_primary {
        if options.replace && cx.db(key).remove(key).is_some() {
            let deletion = cx.engine.deletion();
            cx.propagate_as(&[deletion, key]);
        }
        return Ok(Reply::OK);
    }
    cx.db(key).insert(Bytes::copy_from_slice(key), value, ends_at);
    if let Some(idle) = options.idle {
        cx.engine.db.set_idle(key, u32::try_from(idle).unwrap_or(u32::MAX));
    }
    match ends_at {
        Some(at) if !options.is_absolute => {
            let at = at.to_string();
            let rest = &cx.args[4..];
            let args = [&[name, key, at.as_bytes(), payload], rest, &[&b"ABSTTL"[..]]].concat();
            cx.propagate_as(&args);
        }
        _ => cx.propagate(),
    }
    Ok(Reply::OK)
}
