//! The shape of a key: what is left of it without ids, lanes, partitions and numbers.

use crate::view::{Entity, IndexName};

/// Characters of a UUID.
const UUID: usize = 36;

/// The shape of a key: `exec:core`, `idx:lane:eligible`, `attempt:#:usage`.
pub(super) fn of_key(key: &str) -> String {
    if let Some(IndexName { lane, name }) = IndexName::of_key(key) {
        return format!("idx:{}{}", if lane.is_some() { "lane:" } else { "" }, of_text(&name));
    }
    match (key.split(':').nth(1), Entity::of_key(key).and_then(|entity| after(key, &entity))) {
        (Some(family), Some(rest)) => format!("{family}{}", of_text(rest)),
        _ => of_text(key),
    }
}

/// What follows the name of the entity in its key.
fn after<'k>(key: &'k str, entity: &Entity) -> Option<&'k str> {
    let name = match entity {
        Entity::Execution(id) => id.as_str().to_owned(),
        Entity::Flow(one, other)
        | Entity::Budget(one, other)
        | Entity::Quota(one, other)
        | Entity::Waitpoint(one, other)
        | Entity::Worker(one, other) => format!("{one}:{other}"),
        Entity::Secrets(tag) => tag.clone(),
        Entity::Edge(tag, flow, id) => format!("{tag}:{flow}:edge:{id}"),
    };
    key.split_once(&*name).map(|(_, rest)| rest)
}

/// A text of which only the words are left: a hash tag is `{}`, a UUID `<id>`, a number `#`.
pub(super) fn of_text(text: &str) -> String {
    let mut shape = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (taken, written) = match first {
            '{' => (rest.find('}').map_or(1, |end| end + 1), "{}"),
            _ if starts_with_uuid(rest) => (UUID, "<id>"),
            '0'..='9' => (rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()), "#"),
            _ => (first.len_utf8(), ""),
        };
        shape.push_str(if written.is_empty() { &rest[..taken] } else { written });
        rest = &rest[taken..];
    }
    shape
}

fn starts_with_uuid(text: &str) -> bool {
    text.get(..UUID).is_some_and(|uuid| {
        uuid.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "{fp:3}:0e8a5d2c-0000-4000-8000-000000000001";

    #[test]
    fn a_key_keeps_what_it_is_for_and_loses_what_it_belongs_to() {
        let exec = |part: &str| of_key(&format!("ff:exec:{{fp:3}}:{ID}:{part}"));
        assert_eq!(exec("core"), "exec:core");
        assert_eq!(exec("lease:current"), "exec:lease:current");
        assert_eq!(exec("dep:0e8a5d2c-0000-4000-8000-000000000002"), "exec:dep:<id>");
        assert_eq!(of_key(&format!("ff:attempt:{{fp:3}}:{ID}:0:usage")), "attempt:#:usage");
        for (key, shape) in [
            ("ff:idx:{fp:3}:lane:gold:eligible", "idx:lane:eligible"),
            ("ff:idx:{fp:3}:lane:a:b:blocked:route", "idx:lane:blocked:route"),
            ("ff:idx:{fp:3}:lease_expiry", "idx:lease_expiry"),
            ("ff:idx:{fp:3}:worker:w1-1.2:leases", "idx:worker:w#-#.#:leases"),
            ("ff:quota:{q:2}:p7:concurrency", "quota:concurrency"),
            ("ff:budget:{b:2}:p", "budget"),
            ("ff:worker:sim:w1-1.1:alive", "worker:alive"),
            ("mine:{7}:job:12", "mine:{}:job:#"),
        ] {
            assert_eq!(of_key(key), shape);
        }
    }

    #[test]
    fn any_text_has_a_shape() {
        for (text, shape) in
            [("", ""), ("{", "{}"), ("lease_epoch", "lease_epoch"), ("é7", "é#"), ("p99x", "p#x")]
        {
            assert_eq!(of_text(text), shape);
        }
    }
}
