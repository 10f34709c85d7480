//! CLIENT TRACKING and what goes with it: client-side caching.

use bytes::Bytes;

use super::parse::{Words, is};
use crate::engine::{
    CommandResult, Context, ErrorReply, Reply, SYNTAX,
    tracking::{Options, Tracker},
};

/// `CLIENT TRACKING ON|OFF [REDIRECT id] [BCAST] [PREFIX prefix …] [OPTIN] [OPTOUT] [NOLOOP]`.
pub fn tracking(cx: &mut Context<'_>) -> CommandResult {
    let mut options = Options::default();
    let mut prefixes = Vec::new();
    let mut words = Words::from(cx, 3);
    while let Some(word) = words.next() {
        if is(word, "REDIRECT") && !words.is_over() {
            if options.redirect != 0 {
                return Err(ErrorReply::new("ERR A client can only redirect to a single other client"));
            }
            options.redirect = words.integer()? as u64;
            if !cx.engine.clients.exists(options.redirect) {
                return Err(ErrorReply::new("ERR The client ID you want redirect to does not exist"));
            }
        } else if is(word, "BCAST") {
            options.by_prefix = true;
        } else if is(word, "OPTIN") {
            options.opt_in = true;
        } else if is(word, "OPTOUT") {
            options.opt_out = true;
        } else if is(word, "NOLOOP") {
            options.no_loop = true;
        } else if is(word, "PREFIX") && !words.is_over() {
            prefixes.push(Bytes::copy_from_slice(words.value()?));
        } else {
            return Err(SYNTAX);
        }
    }
    let client = cx.session.id;
    match cx.arg(2) {
        word if is(word, "ON") => {
            check(&options, &prefixes, cx.engine.tracking.of(client))?;
            if cx.engine.tracking.is_empty() {
                // What its transaction wrote before nobody tracked.
                cx.engine.tracking.seen = cx.effects.len();
            }
            cx.engine.tracking.begin(client, options, prefixes);
        }
        word if is(word, "OFF") => cx.engine.tracking.end(client),
        _ => return Err(SYNTAX),
    }
    Ok(Reply::OK)
}

/// Whether options fit together, and to what the client asked for before.
fn check(options: &Options, prefixes: &[Bytes], old: Option<&Tracker>) -> Result<(), ErrorReply> {
    let was = |asked: fn(&Options) -> bool| old.is_some_and(|old| asked(&old.options));
    let refused = if !options.by_prefix && !prefixes.is_empty() {
        "ERR PREFIX option requires BCAST mode to be enabled"
    } else if old.is_some_and(|old| old.options.by_prefix != options.by_prefix) {
        "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a \
         different mode."
    } else if options.by_prefix && (options.opt_in || options.opt_out) {
        "ERR OPTIN and OPTOUT are not compatible with BCAST"
    } else if options.opt_in && options.opt_out {
        "ERR You can't specify both OPTIN mode and OPTOUT mode"
    } else if options.opt_in && was(|old| old.opt_out) || options.opt_out && was(|old| old.opt_in) {
        "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a \
         different mode."
    } else {
        return if options.by_prefix { check_prefixes(prefixes, old) } else { Ok(()) };
    };
    Err(ErrorReply::new(refused))
}

/// No prefix may begin with another one.
fn check_prefixes(prefixes: &[Bytes], old: Option<&Tracker>) -> Result<(), ErrorReply> {
    let overlap = |one: &Bytes, other: &Bytes| one.starts_with(other) || other.starts_with(one);
    for (nth, prefix) in prefixes.iter().enumerate() {
        let existing = old.into_iter().flat_map(|old| &old.prefixes).find(|other| overlap(prefix, other));
        let provided = prefixes[nth + 1..].iter().find(|other| overlap(prefix, other));
        let (kind, other) = match (existing, provided) {
            (Some(other), _) => ("an existing", other),
            (None, Some(other)) => ("another provided", other),
            (None, None) => continue,
        };
        let [prefix, other] = [prefix, other].map(|prefix| ErrorReply::quote(prefix));
        return Err(format!(
            "ERR Prefix '{prefix}' overlaps with {kind} prefix '{other}'. Prefixes for a single client must not overlap."
        )
        .into());
    }
    Ok(())
}

/// `CLIENT CACHING YES|NO`: of what the next command reads.
pub fn caching(cx: &mut Context<'_>) -> CommandResult {
    let word = cx.arg(2);
    let Some(tracker) = cx.engine.tracking.of_mut(cx.session.id) else {
        return Err(ErrorReply::new(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    };
    let (fits, otherwise) = if is(word, "YES") {
        let otherwise = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.";
        (tracker.options.opt_in, otherwise)
    } else if is(word, "NO") {
        let otherwise = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.";
        (tracker.options.opt_out, otherwise)
    } else {
        return Err(SYNTAX);
    };
    if !fits {
        return Err(ErrorReply::new(otherwise));
    }
    tracker.is_caching = true;
    Ok(Reply::OK)
}

/// `CLIENT GETREDIR`.
pub fn getredir(cx: &mut Context<'_>) -> CommandResult {
    Ok(Reply::Int(redirect(cx)))
}

fn redirect(cx: &Context<'_>) -> i64 {
    cx.engine.tracking.of(cx.session.id).map_or(-1, |tracker| tracker.options.redirect as i64)
}

/// `CLIENT TRACKINGINFO`.
pub fn trackinginfo(cx: &mut Context<'_>) -> CommandResult {
    let tracker = cx.engine.tracking.of(cx.session.id);
    let flags = tracker.map_or(vec!["off"], |Tracker { options, is_caching, is_broken, .. }| {
        let flags = [
            (true, "on"),
            (options.by_prefix, "bcast"),
            (options.opt_in, "optin"),
            (options.opt_in && *is_caching, "caching-yes"),
            (options.opt_out, "optout"),
            (options.opt_out && *is_caching, "caching-no"),
            (options.no_loop, "noloop"),
            (*is_broken, "broken_redirect"),
        ];
        flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect()
    });
    let prefixes = tracker.into_iter().flat_map(|tracker| &tracker.prefixes);
    let pairs = [
        ("flags", Reply::Set(flags.into_iter().map(Reply::bulk).collect())),
        ("redirect", Reply::Int(redirect(cx))),
        ("prefixes", Reply::bulks(prefixes)),
    ];
    Ok(Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect()))
}
