//! Glob patterns, as `stringmatchlen` has them.

/// Whether `text` matches `pattern`: `*`, `?`, `[a-z]`, `[^a]` and `\` before a character taken literally.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Where to go on from when the match fails after a star: one more character goes to the star.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            retry = Some((rest, text));
            pattern = rest;
            continue;
        }
        if pattern.is_empty() && text.is_empty() {
            return true;
        }
        if let Some((&byte, after)) = text.split_first()
            && let Some((true, rest)) = one(pattern, byte, nocase)
        {
            (pattern, text) = (rest, after);
            continue;
        }
        match retry {
            Some((after_star, [_, shorter @ ..])) => {
                retry = Some((after_star, shorter));
                (pattern, text) = (after_star, shorter);
            }
            _ => return false,
        }
    }
}

/// Whether the first element of the pattern takes `byte`, and the pattern after it.
fn one(pattern: &[u8], byte: u8, nocase: bool) -> Option<(bool, &[u8])> {
    let same = |a: u8| if nocase { a.eq_ignore_ascii_case(&byte) } else { a == byte };
    Some(match pattern {
        [] => return None,
        [b'?', rest @ ..] => (true, rest),
        [b'[', b'^', class @ ..] => {
            let (hit, rest) = in_class(class, byte, nocase);
            (!hit, rest)
        }
        [b'[', class @ ..] => in_class(class, byte, nocase),
        [b'\\', literal, rest @ ..] => (same(*literal), rest),
        [literal, rest @ ..] => (same(*literal), rest),
    })
}

/// Whether a class holds `byte`, and what follows its `]`. A class that never ends does at the end of the pattern.
fn in_class(mut class: &[u8], byte: u8, nocase: bool) -> (bool, &[u8]) {
    let fold = |byte: u8| if nocase { byte.to_ascii_lowercase() } else { byte };
    let byte = fold(byte);
    let mut hit = false;
    loop {
        class = match class {
            [] => return (hit, class),
            [b']', rest @ ..] => return (hit, rest),
            [b'\\', literal, rest @ ..] => {
                hit |= fold(*literal) == byte;
                rest
            }
            [a, b'-', b, rest @ ..] => {
                let (a, b) = (fold(*a), fold(*b));
                hit |= (a.min(b)..=a.max(b)).contains(&byte);
                rest
            }
            [literal, rest @ ..] => {
                hit |= fold(*literal) == byte;
                rest
            }
        };
    }
}
