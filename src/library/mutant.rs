//! Mutants: libraries that break the protocol in one way, to see whether the properties notice.
//!
//! A mutant knows nothing of the library that it changes. It stands where the library meets the server, at
//! `redis.call`, and works on any library that uses the documented keys. It is a file of Lua
//! (`fixtures/mutants/<name>.lua`):
//!
//! ```lua
//! -- A claim leaves the grant that it consumes where it is.
//! -- breaks: at-most-once/grant-left-behind
//! return function(call, fn, keys, args, cmd, key, ...)
//!   if claims[fn] and cmd == 'DEL' and ends(key, ':claim_grant') then return 1 end
//!   return call(cmd, key, ...)
//! end
//! ```
//!
//! The first comment says in a sentence what it breaks. The second names the kinds of violation that must be noticed,
//! `property/kind`, separated by commas and in alphabetical order. Two more may follow: a mutant that only makes sense on some
//! libraries names these (`-- libraries: flowfabric`), and one that the default profile seldom shows says which one does
//! (`-- profile: crash`). The function is called in place of `redis.call` and `redis.pcall`: with the real one, the name, KEYS
//! and ARGV of the function that runs, and the command. A mutant may return a second function, which is handed the reply, the
//! name, KEYS and ARGV, and returns what is answered instead; and a third, which may change KEYS and ARGV beforehand. What they
//! may use besides is in `prelude.lua`: `claims`, `ends`, `fields`, `instead`, `millis`, `presented`, `time`, `values`. Long
//! brackets (`[[…]]`) are not understood.
//!
//! Not here: whether the catalogue has these kinds, which `property::KindName` knows, and whether they are noticed
//! (`hunt::mutants`).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::Library;

/// One way to break the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// Its file's name without `.lua`.
    pub name: String,
    /// What it breaks, in words.
    pub sentence: String,
    /// The kinds of violation that must be noticed, as `property/kind`.
    pub breaks: Vec<String>,
    /// The names of the only libraries on which it makes sense; none for all.
    pub libraries: Vec<String>,
    /// The profile that shows it, where that is not the default one.
    pub profile: Option<String>,
    /// The Lua.
    pub source: String,
    /// Its file, where it does not come with the program.
    pub file: Option<PathBuf>,
}

/// Why a text is no mutant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MutantError {
    /// It does not begin as a mutant does.
    #[error(
        "the mutant {0} must begin with `-- <what it breaks, in a sentence>` and `-- breaks: <property>/<kind>, …`, \
         kinds in alphabetical order"
    )]
    Header(String),
    /// It uses what cannot be put on one line.
    #[error("the mutant {0} uses a long bracket ([[…]]), which is not understood")]
    LongBracket(String),
    /// Its file cannot be read.
    #[error("cannot read the mutant {0}: {1}")]
    File(String, String),
}

/// The files of `fixtures/mutants`, within the program: a build has them wherever it runs, and `build.rs` lists them.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/mutants.rs"));

const PRELUDE: &str = include_str!("prelude.lua");

impl Mutant {
    /// All that come with the program, by name.
    pub fn all() -> Vec<Self> {
        let parse = |(name, text): &(&str, &str)| Self::parse(name, text).expect("a test parses all of them");
        FILES.iter().map(parse).collect()
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|mutant| mutant.name == name)
    }

    /// Reads a mutant from the text of its file.
    ///
    /// # Errors
    /// The comment lines are missing or malformed, or there is a long bracket.
    pub fn parse(name: &str, text: &str) -> Result<Self, MutantError> {
        let mut lines = text.lines();
        let sentence = lines.next().and_then(|line| line.strip_prefix("-- "));
        let breaks = lines.next().and_then(|line| line.strip_prefix("-- breaks: ")).map(list);
        let (Some(sentence), Some(breaks)) = (sentence, breaks.filter(|kinds| are_kinds(kinds))) else {
            return Err(MutantError::Header(name.to_owned()));
        };
        if text.contains("[[") || text.contains("[=") {
            return Err(MutantError::LongBracket(name.to_owned()));
        }
        let header: Vec<&str> = lines.take_while(|line| line.starts_with("-- ")).collect();
        let more = |title: &str| header.iter().find_map(|line| line.strip_prefix(title));
        let libraries = more("-- libraries: ").map(list);
        let profile = more("-- profile: ").map(|name| name.trim().to_owned());
        Ok(Self {
            name: name.to_owned(),
            sentence: sentence.trim().to_owned(),
            breaks,
            libraries: libraries.unwrap_or_default(),
            profile,
            source: text.to_owned(),
            file: None,
        })
    }

    /// Reads a mutant of your own; it is called what its file is called, without `.lua`.
    ///
    /// # Errors
    /// The file cannot be read, or is no mutant.
    pub fn from_file(path: &Path) -> Result<Self, MutantError> {
        let unreadable = |why: io::Error| MutantError::File(path.display().to_string(), why.to_string());
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self { file: Some(path.to_owned()), ..Self::parse(&name, &text)? })
    }

    /// Whether it makes sense on this library.
    pub fn suits(&self, library: &Library) -> bool {
        self.libraries.is_empty() || self.libraries.iter().any(|name| name == library.name())
    }

    /// A library's text with the mutant between it and the server. The first line stays alone, since a server reads
    /// it by itself; the prelude goes, as one line, before what was the second.
    pub(super) fn apply(&self, library: &str) -> String {
        let prelude = PRELUDE.replace("MUTANT", &self.source);
        let (shebang, rest) = library.split_once('\n').unwrap_or((library, ""));
        format!("{shebang}\n{}{rest}", one_line(&prelude))
    }
}

/// What stands between commas.
fn list(text: &str) -> Vec<String> {
    text.split(',').map(|item| item.trim().to_owned()).collect()
}

/// Whether each has a property and a kind, and they are in order, each once.
fn are_kinds(kinds: &[String]) -> bool {
    let is_kind = |text: &String| {
        text.split_once('/').is_some_and(|(property, kind)| !property.is_empty() && !kind.is_empty())
    };
    kinds.iter().all(is_kind) && kinds.is_sorted_by(|one, next| one < next)
}

/// Lua on one line: comments go, and line ends become spaces.
fn one_line(lua: &str) -> String {
    lua.lines().map(|line| without_comment(line).trim()).filter(|line| !line.is_empty()).fold(
        String::new(),
        |mut joined, line| {
            joined.push_str(line);
            joined.push(' ');
            joined
        },
    )
}

/// A line of Lua up to its comment. Two dashes within quotes are none.
fn without_comment(line: &str) -> &str {
    let (mut quote, mut escaped) = (None, false);
    for (at, char) in line.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if char == '\\' => escaped = true,
            Some(open) if char == open => quote = None,
            Some(_) => {}
            None if char == '\'' || char == '"' => quote = Some(char),
            None if line[at..].starts_with("--") => return &line[..at],
            None => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    #[test]
    fn every_file_is_a_mutant_of_the_program() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mutants");
        let files: BTreeSet<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        let mutants = Mutant::all();
        let known: BTreeSet<_> = mutants.iter().map(|mutant| format!("{}.lua", mutant.name)).collect();
        assert_eq!(files, known);
        assert!(mutants.is_sorted_by_key(|mutant| &mutant.name), "the list is in alphabetical order");
    }

    #[test]
    fn a_mutant_is_short_enough_to_be_understood_at_a_glance() {
        for mutant in Mutant::all() {
            let lua = mutant.source.lines().filter(|line| !line.starts_with("--")).count();
            assert!(lua <= 12, "{} has {lua} lines of Lua", mutant.name);
        }
    }

    #[test]
    fn a_mutant_moves_no_line_of_the_library() {
        let original = Library::published();
        for mutant in Mutant::all() {
            let changed = original.mutant(&mutant);
            let (before, after): (Vec<_>, Vec<_>) =
                (original.source().lines().collect(), changed.source().lines().collect());
            assert_eq!(before.len(), after.len());
            assert_eq!((before[0], &before[2..]), (after[0], &after[2..]));
            assert!(after[1].ends_with(before[1]) && after[1].contains("redis.call"), "{}", after[1]);
            assert_ne!(original.sha256(), changed.sha256());
            assert_eq!(changed.version(), format!("34+{}", mutant.name));
        }
    }

    #[test]
    fn a_library_of_one_line_can_be_mutated_too() {
        let library = Library::from_source("it", "#!lua name=x").unwrap();
        assert!(library.mutant(&Mutant::all()[0]).source().starts_with("#!lua name=x\nlocal redis"));
    }

    #[test]
    fn comments_go_and_quoted_dashes_stay() {
        assert_eq!(one_line("a = '--' -- b\n\n  c = \"\\\"--\" --d"), "a = '--' c = \"\\\"--\" ");
    }

    #[test]
    fn a_mutant_names_the_kinds_that_it_breaks_and_the_libraries_that_it_suits() {
        let of = |header: &str| Mutant::parse("x", &format!("-- It breaks.\n{header}\nreturn 1")).unwrap();
        let anywhere = of("-- breaks: fence/no-lease,  lane/core ");
        assert_eq!(anywhere.breaks, ["fence/no-lease", "lane/core"]);
        assert!(anywhere.libraries.is_empty() && anywhere.suits(&Library::published()));
        let somewhere = of("-- breaks: lane/core\n-- libraries: minimal, mine");
        assert_eq!(somewhere.libraries, ["minimal", "mine"]);
        assert!(!somewhere.suits(&Library::published()));
        assert!(of("-- breaks: lane/core\n-- libraries: flowfabric").suits(&Library::published()));
        let rare = of("-- breaks: lane/core\n-- libraries: minimal\n-- profile: crash");
        assert_eq!((rare.libraries, rare.profile.as_deref()), (vec!["minimal".to_owned()], Some("crash")));
        assert_eq!(of("-- breaks: lane/core\n-- profile: calm").profile.as_deref(), Some("calm"));
    }

    #[test]
    fn a_text_without_its_two_lines_is_no_mutant() {
        let refused = Err(MutantError::Header("x".into()));
        for breaks in
            ["", "lane", "lane/", "/core", "lane/core,", "lane/core, lane/core", "lane/core, fence/no-lease"]
        {
            assert_eq!(
                Mutant::parse("x", &format!("-- a\n-- breaks: {breaks}\nreturn 1")),
                refused,
                "{breaks:?}"
            );
        }
        assert_eq!(Mutant::parse("x", "return 1"), refused);
        let bracket = "-- a\n-- breaks: lane/core\nreturn [[x]]";
        assert_eq!(Mutant::parse("x", bracket), Err(MutantError::LongBracket("x".into())));
    }
}
