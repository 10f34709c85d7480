//! LCS: the longest common subsequence of two strings.

use bytes::Bytes;

use super::{
    Command, Flags, Keys,
    parse::{Words, is},
};
use crate::engine::{CommandResult, Context, ErrorReply, Reply, SYNTAX};

/// The family.
pub const COMMANDS: &[Command] =
    &[Command::new("LCS", -3, Flags::READONLY.and(Flags::LINEAR), longest_common_subsequence)
        .on(Keys::Range { first: 1, last: 2, step: 1 })];

/// What the options ask for.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    length: bool,
    indexes: bool,
    with_lengths: bool,
    least: usize,
}

impl Options {
    fn parse(mut words: Words<'_>) -> Result<Self, ErrorReply> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            match word {
                word if is(word, "IDX") => options.indexes = true,
                word if is(word, "LEN") => options.length = true,
                word if is(word, "WITHMATCHLEN") => options.with_lengths = true,
                word if is(word, "MINMATCHLEN") => options.least = words.integer()?.max(0) as usize,
                _ => return Err(SYNTAX),
            }
        }
        if options.length && options.indexes {
            return Err(ErrorReply::new("ERR If you want both the length and indexes, please just use IDX."));
        }
        Ok(options)
    }
}

fn longest_common_subsequence(cx: &mut Context<'_>) -> CommandResult {
    const NOT_STRINGS: ErrorReply = ErrorReply::new("ERR The specified keys must contain string values");
    const TOO_LARGE: ErrorReply =
        ErrorReply::new("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    let (first, second) = (cx.arg(1), cx.arg(2));
    let mut text = |key| match cx.read::<Bytes>(key) {
        Ok(text) => Ok(text.cloned().unwrap_or_default()),
        Err(_) => Err(NOT_STRINGS),
    };
    let (first, second) = (text(first)?, text(second)?);
    let options = Options::parse(Words::from(cx, 3))?;
    let cells = (first.len() + 1).saturating_mul(second.len() + 1);
    if cells.saturating_mul(size_of::<u32>()) > cx.engine.config.longest_bulk {
        return Err(TOO_LARGE);
    }
    let lengths = Lengths::of(&first, &second);
    let longest = lengths.at(first.len(), second.len());
    if options.length {
        return Ok(Reply::Int(longest.into()));
    }
    let matches = lengths.matches(&first, &second);
    if options.indexes {
        let shown = matches.iter().filter(|found| found.length >= options.least);
        let shown = shown.map(|found| found.reply(options.with_lengths)).collect();
        return Ok(Reply::Map(vec![
            (Reply::bulk("matches"), Reply::Array(shown)),
            (Reply::bulk("len"), Reply::Int(longest.into())),
        ]));
    }
    let parts: Vec<&[u8]> = matches.iter().rev().map(|found| found.text(&first)).collect();
    Ok(Reply::bulk(parts.concat()))
}

/// The length of the longest common subsequence of each two beginnings.
struct Lengths {
    width: usize,
    cells: Vec<u32>,
}

impl Lengths {
    fn of(first: &[u8], second: &[u8]) -> Self {
        let width = second.len() + 1;
        let mut cells = vec![0; (first.len() + 1) * width];
        for (row, here) in first.iter().enumerate() {
            for (column, there) in second.iter().enumerate() {
                let above = row * width + column;
                cells[above + width + 1] = match here == there {
                    true => cells[above] + 1,
                    false => cells[above + 1].max(cells[above + width]),
                };
            }
        }
        Self { width, cells }
    }

    fn at(&self, first: usize, second: usize) -> u32 {
        self.cells[first * self.width + second]
    }

    /// The runs of bytes that make up the subsequence, the last one first. Of several subsequences it is the one that a
    /// real server finds.
    fn matches(&self, first: &[u8], second: &[u8]) -> Vec<Match> {
        let (mut row, mut column) = (first.len(), second.len());
        let mut found: Vec<Match> = Vec::new();
        while row > 0 && column > 0 {
            if first[row - 1] != second[column - 1] {
                match self.at(row - 1, column) > self.at(row, column - 1) {
                    true => row -= 1,
                    false => column -= 1,
                }
                continue;
            }
            (row, column) = (row - 1, column - 1);
            match found.last_mut() {
                Some(run) if run.first == row + 1 && run.second == column + 1 => {
                    *run = Match { first: row, second: column, length: run.length + 1 };
                }
                _ => found.push(Match { first: row, second: column, length: 1 }),
            }
        }
        found
    }
}

/// A run of bytes that both strings have.
#[derive(Clone, Copy, Debug)]
struct Match {
    first: usize,
    second: usize,
    length: usize,
}

impl Match {
    fn text<'t>(&self, first: &'t [u8]) -> &'t [u8] {
        &first[self.first..self.first + self.length]
    }

    fn reply(&self, with_length: bool) -> Reply {
        let range = |start: usize| {
            let ends = [start, start + self.length - 1];
            Reply::Array(ends.iter().map(|end| Reply::Int(*end as i64)).collect())
        };
        let mut parts = vec![range(self.first), range(self.second)];
        if with_length {
            parts.push(Reply::Int(self.length as i64));
        }
        Reply::Array(parts)
    }
}
