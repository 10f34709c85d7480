//! Glob patterns as `KEYS`, `SCAN MATCH` and `PSUBSCRIBE` read them: Valkey's `stringmatchlen`, byte by byte.
//!
//! `*` any bytes, `?` one byte, `[abc]`, `[^abc]`, `[a-z]` one of (or none of) a class, `\x` the byte itself. A
//! class that is never closed ends with the pattern. Matching takes time proportional to pattern × text at most.

/// Whether the whole of `text` fits `pattern`.
///
/// ```
/// use valkey_sim::engine::glob;
/// assert!(glob::matches(b"lane:*:eligible", b"lane:a:eligible"));
/// assert!(!glob::matches(b"lane:[^a-c]", b"lane:b"));
/// ```
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    if pattern.len() > MOST_STARS && stars(pattern) > MOST_STARS {
        return false;
    }
    let (mut p, mut t) = (0, 0);
    // Where to go on when a later part does not fit: after the last star, one byte further in the text. Earlier
    // stars need no second look, for the last one can take over whatever they would have left to it.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            p += 1;
            retry = Some((p, t));
            continue;
        }
        if t == text.len() {
            return pattern[p..].iter().all(|&byte| byte == b'*');
        }
        if p < pattern.len() {
            let (fits, next) = match_one(pattern, p, text[t]);
            if fits {
                p = next;
                t += 1;
                continue;
            }
        }
        match retry {
            Some((after_star, from)) => {
                p = after_star;
                t = from + 1;
                retry = Some((after_star, t));
            }
            None => return false,
        }
    }
}

/// How many stars a server follows one within the other (`stringmatchlen_impl`, since Redis 7.0.5).
const MOST_STARS: usize = 1_000;

/// How many stars a pattern has that something comes after; those next to each other count as one.
fn stars(pattern: &[u8]) -> usize {
    let (mut at, mut stars) = (0, 0);
    while at < pattern.len() {
        let is_star = pattern[at] == b'*';
        at = if is_star {
            pattern[at..].iter().position(|byte| *byte != b'*').map_or(pattern.len(), |more| at + more)
        } else {
            match_one(pattern, at, 0).1
        };
        stars += usize::from(is_star && at < pattern.len());
    }
    stars
}

/// Whether one byte fits the element of the pattern at `p`, and where the next element starts.
fn match_one(pattern: &[u8], p: usize, byte: u8) -> (bool, usize) {
    match pattern[p] {
        b'?' => (true, p + 1),
        b'[' => match_class(pattern, p + 1, byte),
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte, p + 2),
        literal => (literal == byte, p + 1),
    }
}

/// As [`match_one`] for a class whose opening bracket is just before `p`.
fn match_class(pattern: &[u8], mut p: usize, byte: u8) -> (bool, usize) {
    let negated = pattern.get(p) == Some(&b'^');
    if negated {
        p += 1;
    }
    let mut found = false;
    loop {
        match pattern[p.min(pattern.len())..] {
            [] => return (found != negated, pattern.len()),
            [b'\\', escaped, ..] => {
                found |= escaped == byte;
                p += 2;
            }
            [b']', ..] => return (found != negated, p + 1),
            [a, b'-', b, ..] => {
                found |= (a.min(b)..=a.max(b)).contains(&byte);
                p += 3;
            }
            [literal, ..] => {
                found |= literal == byte;
                p += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_take_any_bytes() {
        assert!(matches(b"*", b""));
        assert!(matches(b"a*b*c", b"a--b--bc"));
        assert!(!matches(b"a*b*c", b"a--b--bd"));
        assert!(matches(b"**x", b"x"));
        assert!(!matches(b"", b"x"));
        assert!(matches(b"", b""));
    }

    #[test]
    fn classes_ranges_and_escapes_are_read_as_valkey_reads_them() {
        assert!(matches(b"h[ae]llo", b"hallo"));
        assert!(!matches(b"h[^e]llo", b"hello"));
        assert!(matches(b"h[b-a]llo", b"hallo"), "a range may be written backwards");
        assert!(matches(b"h\\?", b"h?"));
        assert!(!matches(b"h\\?", b"ha"));
        assert!(matches(b"[abc", b"b"), "an unclosed class ends with the pattern");
        assert!(matches(b"[a\\]]", b"]"));
        assert!(matches(b"\\", b"\\"));
        assert!(!matches(b"[]", b"]"), "an empty class fits nothing");
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = b"a*".repeat(200);
        let text = b"a".repeat(5_000);
        assert!(!matches(&[&pattern[..], b"b"].concat(), &text));
    }
}
