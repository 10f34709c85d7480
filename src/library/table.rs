//! A library with names of its own, made one that the harness can call: by a table that its user writes, in Lua.
//!
//! The text under test is the library, the table, and a mirror that registers FlowFabric's functions. Each calls the
//! library's own and then writes down what its keys say where the properties look. What a table holds is told in
//! `docs/your-own-library.md`.

use std::fmt::Write;

use super::Library;

const RECORDER: &str = include_str!("recorder.lua");
const MIRROR: &str = include_str!("mirror.lua");

/// A table begins in a line of which a reader sees that it is not the library's: the first of the next so many.
const LINES: usize = 1_000;

impl Library {
    /// This library, tested by a table of its functions and keys: `docs/your-own-library.md` says what stands in one. Of a
    /// library from a file the table is read from the file beside it ([`from_file`](Self::from_file)).
    ///
    /// The lines of the library keep their numbers in messages. Those of the table are counted from 1001 on (or from 2001,
    /// where the library has more than a thousand).
    ///
    /// ```
    /// use grantsim::library::Library;
    ///
    /// let text = std::fs::read_to_string("fixtures/libraries/locks.lua")?;
    /// let table = std::fs::read_to_string("fixtures/libraries/locks.table.lua")?;
    /// let library = Library::from_source("locks.lua", &text)?.with_table(&table);
    /// assert_eq!(library, Library::from_file("fixtures/libraries/locks.lua")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_table(&self, table: &str) -> Self {
        Self::of_text(&self.name, &composed(&self.source, table))
    }
}

/// The library, the table and the mirror; the recorder is in the library's second line, so that no line moves.
fn composed(library: &str, table: &str) -> String {
    let (first, rest) = library.split_once('\n').unwrap_or((library, ""));
    let recorder: Vec<&str> =
        RECORDER.lines().filter(|line| !line.starts_with("--")).map(str::trim).collect();
    let mut text = format!("{first}\n{} {rest}", recorder.join(" "));
    for part in [table, MIRROR] {
        start_of_the_next_thousand(&mut text);
        text.push_str(part);
    }
    text
}

fn start_of_the_next_thousand(text: &mut String) {
    let ended = text.lines().count();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let blank = ended.next_multiple_of(LINES) - ended;
    // A String takes all that is written to it.
    let _ = write!(text, "{:\n<blank$}", "");
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: &str = "#!lua name=l\nredis.register_function('f', function() return 1 end)";

    #[test]
    fn the_librarys_lines_keep_their_numbers_and_a_tables_begin_at_a_round_one() {
        let text = composed(LIBRARY, "local grantsim = {\n}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "#!lua name=l");
        assert!(lines[1].starts_with("local grantsim_registered"), "{}", lines[1]);
        assert!(lines[1].ends_with("redis.register_function('f', function() return 1 end)"), "{}", lines[1]);
        assert_eq!((lines[999], lines[1_000], lines[1_001]), ("", "local grantsim = {", "}"));
        assert_eq!(lines[2_000], MIRROR.lines().next().unwrap());
    }

    #[test]
    fn a_library_of_more_than_a_thousand_lines_has_its_table_after_them() {
        let long = format!("{LIBRARY}\n{}", "-- more\n".repeat(998));
        assert_eq!(composed(&long, "local grantsim = {}").lines().nth(1_000), Some("local grantsim = {}"));
        let longer = format!("{long}-- more\n");
        assert_eq!(composed(&longer, "local grantsim = {}").lines().nth(2_000), Some("local grantsim = {}"));
    }

    #[test]
    fn a_first_line_is_all_that_a_library_needs_to_be_composed() {
        let library = Library::from_source("it", "#!lua name=l").unwrap().with_table("local grantsim = {}");
        assert_eq!(library.name(), "l");
        assert!(library.version().starts_with("l@"), "{}", library.version());
    }
}
