//! The secret that signs waitpoint tokens is there and has no end, and one that was rotated out is there until its grace is
//! over (57 of `docs/protocol.md`; RFC-004, Waitpoint Security; ff-script 0.15, ff_rotate_waitpoint_hmac_secret).
//!
//! Not here: whether a token is accepted, which [`signals`](super::signals) asks.

use super::{Broken, Check, State};
use crate::{
    property::{Entry, Expect, Kind},
    trace::Step,
    view::{Entity, Secrets, View},
};

const NO_CURRENT: Kind = Kind {
    name: "no-current",
    about: "the secret that signs is not there: nothing can be signed or checked",
};
const CURRENT_ENDS: Kind = Kind {
    name: "current-ends",
    about: "the secret that signs has an end: the next rotation will take it for one that is over",
};
const GRACE_WITHOUT_SECRET: Kind = Kind {
    name: "grace-without-secret",
    about: "a secret that was rotated out is within its grace and is not there: its tokens are refused",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "secrets",
    numbers: &[57],
    claim: "The secret that signs has no end, and one that was rotated out is there until its grace is over.",
    expect: Expect::Always,
    kinds: &[NO_CURRENT, CURRENT_ENDS, GRACE_WITHOUT_SECRET],
    monitor: || Box::new(State(&[signs as Check, has_no_end, lasts_its_grace])),
};

fn secrets<'v>(entity: &Entity, view: &'v View) -> Option<Secrets<'v>> {
    let Entity::Secrets(tag) = entity else { return None };
    Some(view.secrets(tag))
}

fn signs(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let secrets = secrets(entity, view)?;
    let kid = secrets.current();
    (!kid.is_empty() && secrets.secret(kid).is_empty())
        .then(|| Broken::new(NO_CURRENT, format!("the current secret {kid} is not there")))
        .flatten()
}

fn has_no_end(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let secrets = secrets(entity, view)?;
    let kid = secrets.current();
    let ends = secrets.rotated_out().any(|(rotated, _)| rotated == kid);
    ends.then(|| Broken::new(CURRENT_ENDS, format!("the current secret {kid} has an end"))).flatten()
}

fn lasts_its_grace(entity: &Entity, view: &View, step: &Step<'_>) -> Option<Broken> {
    let secrets = secrets(entity, view)?;
    let is_missing = |kid: &str, until: Option<i64>| {
        until.is_some_and(|until| step.now.0 <= until)
            && secrets.secret(kid).is_empty()
            && kid != secrets.current()
    };
    let (kid, _) = secrets.rotated_out().find(|(kid, until)| is_missing(kid, until.map(|at| at.0)))?;
    Broken::new(GRACE_WITHOUT_SECRET, format!("the secret {kid} is within its grace, and is not there"))
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    pub fn first(commands: &str) -> Story {
        Story::new().step(0, "ff_rotate_waitpoint_hmac_secret :secrets | k1 ab 100", "OK rotated", commands)
    }

    pub const FIRST: &str = "HSET :secrets current_kid k1 secret:k1 ab";

    fn second(commands: &str) -> Story {
        let call = "ff_rotate_waitpoint_hmac_secret :secrets | k2 cd 100";
        first(FIRST).step(10, call, "OK rotated", commands)
    }

    const SECOND: &str = "HSET :secrets current_kid k2 secret:k2 cd expires_at:k1 @110";

    cases! {
        a_name_without_a_secret: "secrets/ff_rotate_waitpoint_hmac_secret/OK/no-current",
            first("HSET :secrets current_kid k1"),
            alone first(FIRST);
        a_current_secret_that_ends: "secrets/ff_rotate_waitpoint_hmac_secret/OK/current-ends",
            second(&SECOND.replace("expires_at:k1", "expires_at:k2")),
            alone second(SECOND);
        a_secret_that_is_gone_before_its_grace_is_over: "secrets/ff_rotate_waitpoint_hmac_secret/OK/grace-without-secret",
            second(&format!("{SECOND}; HDEL :secrets secret:k1")),
            alone second(&format!("{}; HDEL :secrets secret:k1", SECOND.replace("@110", "@9")));
    }
}
