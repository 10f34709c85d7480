//! Lua 5.1's patterns, matched with a bound on the work.
//!
//! Lua's own matcher can take exponential time within one call, where no instruction is counted, and recurses on the
//! C stack. This one keeps its choices in a list and pays a step for everything that it looks at. What it finds, and
//! what it finds wrong with a pattern, is Lua's: that a pattern ends at its first zero byte, too.

/// The most captures that a pattern may have.
const MAX_CAPTURES: usize = 32;

/// The most choices that may be open at once. Lua's recursion ends a process at about as many.
const MAX_CHOICES: usize = 200_000;

const ESCAPE: u8 = b'%';

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The pattern is wrong, in Lua's words.
    Pattern(&'static str),
    /// No steps are left.
    OutOfSteps,
}

const BAD_INDEX: Problem = Problem::Pattern("invalid capture index");

/// What a capture took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Captured<'s> {
    /// Some of the subject.
    Text(&'s [u8]),
    /// The place that `()` marked, counted from 1.
    Position(usize),
}

#[derive(Clone, Copy, Debug)]
struct Capture {
    start: usize,
    extent: Extent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Open,
    Position,
    Length(usize),
}

/// What may still be done otherwise, or has to be undone on the way back there.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    /// A repetition took more than it must: give one back, down to `least`.
    Longest { at: usize, least: usize, next: usize },
    /// A repetition took as little as it could: take one more of `item`.
    Shortest { at: usize, item: usize },
    /// An optional item was taken: go on without.
    Optional { at: usize, next: usize },
    /// A capture was opened.
    Opened,
    /// A capture was closed.
    Closed(usize),
}

/// A pattern on a subject, and the captures of the last match. Plain data: Lua's errors may jump over its owner.
#[derive(Clone, Copy, Debug)]
pub struct Matcher<'s> {
    subject: &'s [u8],
    pattern: &'s [u8],
    captures: [Capture; MAX_CAPTURES],
    level: usize,
}

impl<'s> Matcher<'s> {
    /// Nothing is matched yet, and nothing is wrong yet.
    pub fn new(subject: &'s [u8], pattern: &'s [u8]) -> Self {
        let unused = Capture { start: 0, extent: Extent::Open };
        Self { subject, pattern: until_zero(pattern), captures: [unused; MAX_CAPTURES], level: 0 }
    }

    /// The same, and whether the pattern began with `^`, which is taken off.
    pub fn anchored(subject: &'s [u8], pattern: &'s [u8]) -> (Self, bool) {
        match pattern.strip_prefix(b"^") {
            Some(rest) => (Self::new(subject, rest), true),
            None => (Self::new(subject, pattern), false),
        }
    }

    /// The first match that begins at `from` or, unless it is to be right there, behind it: where it begins and ends.
    ///
    /// # Errors
    /// As [`match_at`](Self::match_at).
    pub fn search(
        &mut self,
        from: usize,
        right_there: bool,
        choices: &mut Vec<Choice>,
        steps: &mut u64,
    ) -> Result<Option<(usize, usize)>, Problem> {
        let last = if right_there { from } else { self.subject.len() };
        for start in from..=last {
            if let Some(end) = self.match_at(start, choices, steps)? {
                return Ok(Some((start, end)));
            }
        }
        Ok(None)
    }

    /// A match as a whole.
    pub fn whole(&self, start: usize, end: usize) -> Captured<'s> {
        Captured::Text(&self.subject[start..end])
    }

    /// How many captures the last match has.
    pub fn captures(&self) -> usize {
        self.level
    }

    /// A capture of the last match, counted from 0. Capture 0 of a pattern without any is the whole match.
    ///
    /// # Errors
    /// There is no such capture, or the pattern did not close it.
    pub fn capture(&self, index: usize, start: usize, end: usize) -> Result<Captured<'s>, Problem> {
        if index >= self.level {
            return if index == 0 { Ok(self.whole(start, end)) } else { Err(BAD_INDEX) };
        }
        let Capture { start, extent } = self.captures[index];
        match extent {
            Extent::Open => Err(Problem::Pattern("unfinished capture")),
            Extent::Position => Ok(Captured::Position(start + 1)),
            Extent::Length(length) => Ok(Captured::Text(&self.subject[start..start + length])),
        }
    }

    /// Matches the pattern at one place of the subject: where the match ends, if there is one. `choices` is room to
    /// work in; `steps` are paid from.
    ///
    /// # Errors
    /// The pattern is wrong (found only where matching comes to it), or the steps do not suffice.
    fn match_at(
        &mut self,
        start: usize,
        choices: &mut Vec<Choice>,
        steps: &mut u64,
    ) -> Result<Option<usize>, Problem> {
        self.level = 0;
        choices.clear();
        let mut place = Some((start, 0));
        loop {
            (place, *steps) = match (place, steps.checked_sub(1)) {
                (_, None) => return Err(Problem::OutOfSteps),
                (Some((at, item)), Some(_)) if item == self.pattern.len() => return Ok(Some(at)),
                (Some((at, item)), Some(mut left)) => (self.step(at, item, choices, &mut left)?, left),
                (None, Some(mut left)) => {
                    let Some(choice) = choices.pop() else { return Ok(None) };
                    (self.retry(choice, choices, &mut left)?, left)
                }
            }
        }
    }

    /// Matches the item of the pattern at one place of the subject: the next place and item, if it is there.
    fn step(
        &mut self,
        at: usize,
        item: usize,
        choices: &mut Vec<Choice>,
        steps: &mut u64,
    ) -> Result<Option<(usize, usize)>, Problem> {
        let second = self.byte(item + 1);
        match self.pattern[item] {
            b'(' if second == b')' => self.open(at, Extent::Position, choices).map(|()| Some((at, item + 2))),
            b'(' => self.open(at, Extent::Open, choices).map(|()| Some((at, item + 1))),
            b')' => self.close(at, choices).map(|()| Some((at, item + 1))),
            b'$' if item + 1 == self.pattern.len() => {
                Ok((at == self.subject.len()).then_some((at, item + 1)))
            }
            ESCAPE if second == b'b' => Ok(self.balanced(at, item + 2, steps)?.map(|end| (end, item + 4))),
            ESCAPE if second == b'f' => self.frontier(at, item + 2, steps),
            ESCAPE if second.is_ascii_digit() => {
                Ok(self.captured_again(at, second, steps)?.map(|end| (end, item + 2)))
            }
            _ => self.single(at, item, choices, steps),
        }
    }

    /// An item that stands for one byte, and the repetition behind it.
    fn single(
        &mut self,
        at: usize,
        item: usize,
        choices: &mut Vec<Choice>,
        steps: &mut u64,
    ) -> Result<Option<(usize, usize)>, Problem> {
        let end = self.item_end(item)?;
        let set = Set(&self.pattern[item..end]);
        set.pay(1, steps)?;
        let matches = self.subject.get(at).is_some_and(|&byte| set.has(byte));
        let (least, next) = match self.byte(end) {
            b'*' => (at, end + 1),
            b'+' if matches => (at + 1, end + 1),
            b'+' => return Ok(None),
            b'-' => {
                add(choices, Choice::Shortest { at, item })?;
                return Ok(Some((at, end + 1)));
            }
            b'?' if matches => {
                add(choices, Choice::Optional { at, next: end + 1 })?;
                return Ok(Some((at + 1, end + 1)));
            }
            b'?' => return Ok(Some((at, end + 1))),
            _ => return Ok(matches.then_some((at + 1, end))),
        };
        let longest = least + set.run(&self.subject[least..], steps)?;
        if longest > least {
            add(choices, Choice::Longest { at: longest, least, next })?;
        }
        Ok(Some((longest, next)))
    }

    /// Goes back to a choice and decides otherwise.
    fn retry(
        &mut self,
        choice: Choice,
        choices: &mut Vec<Choice>,
        steps: &mut u64,
    ) -> Result<Option<(usize, usize)>, Problem> {
        match choice {
            Choice::Longest { at, least, next } => {
                let at = at - 1;
                if at > least {
                    choices.push(Choice::Longest { at, least, next });
                }
                return Ok(Some((at, next)));
            }
            Choice::Shortest { at, item } => {
                let end = self.item_end(item)?;
                let set = Set(&self.pattern[item..end]);
                set.pay(1, steps)?;
                if self.subject.get(at).is_some_and(|&byte| set.has(byte)) {
                    choices.push(Choice::Shortest { at: at + 1, item });
                    return Ok(Some((at + 1, end + 1)));
                }
            }
            Choice::Optional { at, next } => return Ok(Some((at, next))),
            Choice::Opened => self.level -= 1,
            Choice::Closed(index) => self.captures[index].extent = Extent::Open,
        }
        Ok(None)
    }

    /// A byte of the pattern; zero behind its end.
    fn byte(&self, index: usize) -> u8 {
        self.pattern.get(index).copied().unwrap_or(0)
    }

    fn open(&mut self, at: usize, extent: Extent, choices: &mut Vec<Choice>) -> Result<(), Problem> {
        let capture = self.captures.get_mut(self.level).ok_or(Problem::Pattern("too many captures"))?;
        *capture = Capture { start: at, extent };
        self.level += 1;
        add(choices, Choice::Opened)
    }

    fn close(&mut self, at: usize, choices: &mut Vec<Choice>) -> Result<(), Problem> {
        let open = self.captures[..self.level].iter().rposition(|capture| capture.extent == Extent::Open);
        let index = open.ok_or(Problem::Pattern("invalid pattern capture"))?;
        let capture = &mut self.captures[index];
        capture.extent = Extent::Length(at - capture.start);
        add(choices, Choice::Closed(index))
    }

    /// `%1`: what a capture took, once more.
    fn captured_again(&self, at: usize, digit: u8, steps: &mut u64) -> Result<Option<usize>, Problem> {
        let index = usize::from(digit - b'0').checked_sub(1).ok_or(BAD_INDEX)?;
        let capture = self.captures[..self.level].get(index).ok_or(BAD_INDEX)?;
        let length = match capture.extent {
            Extent::Open => return Err(BAD_INDEX),
            Extent::Position => return Ok(None),
            Extent::Length(length) => length,
        };
        pay(length as u64 / 16, steps)?;
        let taken = &self.subject[capture.start..capture.start + length];
        Ok(self.subject[at..].starts_with(taken).then_some(at + length))
    }

    /// `%b()`: from an opening byte to the one that closes it.
    fn balanced(&self, at: usize, item: usize, steps: &mut u64) -> Result<Option<usize>, Problem> {
        let (open, close) = match self.pattern[item..] {
            [open, close, ..] => (open, close),
            _ => return Err(Problem::Pattern("unbalanced pattern")),
        };
        if self.subject.get(at) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1;
        for (offset, &byte) in self.subject[at + 1..].iter().enumerate() {
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    pay(offset as u64, steps)?;
                    return Ok(Some(at + offset + 2));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        pay((self.subject.len() - at) as u64, steps)?;
        Ok(None)
    }

    /// `%f[set]`: where a run of the set begins. Zeros stand before and behind the subject.
    fn frontier(&self, at: usize, item: usize, steps: &mut u64) -> Result<Option<(usize, usize)>, Problem> {
        if self.byte(item) != b'[' {
            return Err(Problem::Pattern("missing '[' after '%f' in pattern"));
        }
        let end = self.item_end(item)?;
        let set = Set(&self.pattern[item..end]);
        set.pay(2, steps)?;
        let before = at.checked_sub(1).map_or(0, |before| self.subject[before]);
        let here = self.subject.get(at).copied().unwrap_or(0);
        Ok((!set.has(before) && set.has(here)).then_some((at, end)))
    }

    /// Where the item that begins at an index ends, its repetition not included.
    fn item_end(&self, item: usize) -> Result<usize, Problem> {
        match self.pattern[item] {
            ESCAPE if item + 1 == self.pattern.len() => {
                Err(Problem::Pattern("malformed pattern (ends with '%')"))
            }
            ESCAPE => Ok(item + 2),
            b'[' => {
                let mut at = item + 1 + usize::from(self.byte(item + 1) == b'^');
                // The first byte belongs to the set, whatever it is.
                loop {
                    match self.byte(at) {
                        0 => return Err(Problem::Pattern("malformed pattern (missing ']')")),
                        ESCAPE if at + 1 < self.pattern.len() => at += 2,
                        _ => at += 1,
                    }
                    if self.byte(at) == b']' {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(item + 1),
        }
    }
}

/// A pattern's text up to its first zero.
pub fn until_zero(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|&byte| byte == 0);
    &pattern[..end.unwrap_or(pattern.len())]
}

fn add(choices: &mut Vec<Choice>, choice: Choice) -> Result<(), Problem> {
    if choices.len() >= MAX_CHOICES {
        return Err(Problem::Pattern("pattern too complex"));
    }
    choices.push(choice);
    Ok(())
}

fn pay(price: u64, steps: &mut u64) -> Result<(), Problem> {
    *steps = steps.checked_sub(price).ok_or(Problem::OutOfSteps)?;
    Ok(())
}

/// An item of a pattern that stands for one byte: `a`, `.`, `%d`, `[^a-z%s]`.
#[derive(Clone, Copy)]
struct Set<'p>(&'p [u8]);

impl Set<'_> {
    /// What asking about `times` bytes costs.
    fn pay(self, times: u64, steps: &mut u64) -> Result<(), Problem> {
        pay(self.0.len() as u64 * times, steps)
    }

    /// How many bytes at the beginning of a text are in the set.
    fn run(self, text: &[u8], steps: &mut u64) -> Result<usize, Problem> {
        if let [b'.'] = self.0 {
            return Ok(text.len());
        }
        let affordable = usize::try_from(*steps / self.0.len() as u64).unwrap_or(usize::MAX);
        let run = text.iter().take(affordable).take_while(|&&byte| self.has(byte)).count();
        self.pay(run as u64, steps)?;
        Ok(run)
    }

    fn has(self, byte: u8) -> bool {
        match *self.0 {
            [b'.'] => true,
            [ESCAPE, class] => in_class(byte, class),
            [b'[', b'^', ref members @ .., b']'] => !in_members(byte, members),
            [b'[', ref members @ .., b']'] => in_members(byte, members),
            [single, ..] => byte == single,
            [] => false,
        }
    }
}

/// Whether a byte is among what stands between brackets.
fn in_members(byte: u8, mut members: &[u8]) -> bool {
    loop {
        members = match *members {
            [ESCAPE, class, ref rest @ ..] => {
                if in_class(byte, class) {
                    return true;
                }
                rest
            }
            [low, b'-', high, ref rest @ ..] => {
                if (low..=high).contains(&byte) {
                    return true;
                }
                rest
            }
            [single, ref rest @ ..] => {
                if byte == single {
                    return true;
                }
                rest
            }
            [] => return false,
        }
    }
}

/// Whether a byte is in a class: `a` for `%a`, and `A` for what is not in it. Another letter stands for itself.
fn in_class(byte: u8, class: u8) -> bool {
    let found = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    found == class.is_ascii_lowercase()
}
