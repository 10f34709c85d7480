//! Which function library is under test: the published one, one from a file, or a [`Mutant`] of either. One with functions
//! and keys of its own is tested by a table of them ([`Library::with_table`]).
//!
//! A library is its text. What it registers is for the server to say, once it is loaded
//! (`protocol::Registered`). Nothing here runs Lua.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

mod mutant;
mod table;

pub use mutant::{Mutant, MutantError};

/// The text of a function library, and what it is called.
///
/// ```
/// use grantsim::library::Library;
/// let library = Library::published();
/// assert_eq!((library.name(), library.version()), ("flowfabric", "34"));
/// ```
#[derive(Clone)]
pub struct Library {
    name: Arc<str>,
    version: Arc<str>,
    source: Arc<str>,
    sha256: Arc<str>,
    file: Option<Arc<Path>>,
    is_mutant: bool,
}

/// Libraries are the same where their texts and versions are, whatever files they came from.
impl PartialEq for Library {
    fn eq(&self, other: &Self) -> bool {
        (&self.version, &self.source) == (&other.version, &other.source)
    }
}

impl Eq for Library {}

/// Which library it was, exactly: what plans and traces record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryRef {
    /// The name in its first line.
    pub name: String,
    /// Its version; of a file its name and hash; of a mutant that of the original, `+` the mutant's name.
    pub version: String,
    /// The SHA-256 of its text, in hex.
    pub sha256: String,
}

/// Why there is no library.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The file cannot be read.
    #[error("cannot read the library {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no text.
    #[error("the library {} is not UTF-8: byte {valid_up_to} starts no character", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// How far it is text.
        valid_up_to: usize,
    },
    /// The text does not begin as a library does.
    #[error(
        "{origin} is no function library: its first line must be `#!lua name=<library>`, and is {found:?}"
    )]
    NoShebang {
        /// Where the text comes from.
        origin: String,
        /// The first line, as much as fits a message.
        found: String,
    },
}

impl Library {
    /// FlowFabric's own, as its crate `ff-script` publishes it.
    pub fn published() -> Self {
        Self::new("flowfabric", ff_script::LIBRARY_VERSION, ff_script::LIBRARY_SOURCE)
    }

    /// A library from a file. If there is a file `NAME.table.lua` beside `NAME.lua`, it is tested by that table
    /// ([`with_table`](Self::with_table)).
    ///
    /// # Errors
    /// A file cannot be read, is not UTF-8, or does not begin with `#!lua name=…`. Whether the Lua is any good is
    /// found out by loading it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, LibraryError> {
        let path = path.as_ref();
        let library = Self::from_source(&format!("the file {}", path.display()), &read_text(path)?)?;
        let table = path.with_extension("table.lua");
        let library = if table.exists() { library.with_table(&read_text(&table)?) } else { library };
        Ok(Self { file: Some(path.into()), ..library })
    }

    /// A library from its text; `origin` says in a message where the text comes from. The text of the published library is
    /// the published library, wherever it comes from.
    ///
    /// # Errors
    /// The text does not begin with `#!lua name=…`.
    pub fn from_source(origin: &str, source: &str) -> Result<Self, LibraryError> {
        if source == ff_script::LIBRARY_SOURCE {
            return Ok(Self::published());
        }
        let name = name_in_shebang(source).ok_or_else(|| LibraryError::NoShebang {
            origin: origin.to_owned(),
            found: source.lines().next().unwrap_or_default().chars().take(60).collect(),
        })?;
        Ok(Self::of_text(name, source))
    }

    /// A library whose version is its name and hash.
    fn of_text(name: &str, source: &str) -> Self {
        let version = format!("{name}@{}", &crate::types::digest::sha256_hex(source.as_bytes())[..12]);
        Self::new(name, &version, source)
    }

    /// This library, changed by a mutant. Its line numbers stay as they are.
    pub fn mutant(&self, mutant: &Mutant) -> Self {
        let source = mutant.apply(&self.source);
        let version = format!("{}+{}", self.version, mutant.name);
        Self { is_mutant: true, ..Self::new(&self.name, &version, &source) }
    }

    fn new(name: &str, version: &str, source: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            source: source.into(),
            sha256: crate::types::digest::sha256_hex(source.as_bytes()).into(),
            file: None,
            is_mutant: false,
        }
    }

    /// Whether this is the published text, whatever file it came from.
    pub fn is_published(&self) -> bool {
        *self.source == *ff_script::LIBRARY_SOURCE
    }

    /// Whether a mutant has changed it.
    pub fn is_mutant(&self) -> bool {
        self.is_mutant
    }

    /// The name in its first line: what `FUNCTION LIST` calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Published: its version. From a file: name and hash. A mutant: that of the original, `+` the mutant's name.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The SHA-256 of the text, in hex: what tokens and plans record.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What plans and traces record of it.
    pub fn reference(&self) -> LibraryRef {
        LibraryRef { name: self.name().into(), version: self.version().into(), sha256: self.sha256().into() }
    }

    /// The file that it came from, with its table if there is one: reading it again gives the same library. None of a mutant.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The text, first line included: what `FUNCTION LOAD` takes.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").field("version", &self.version).field("sha256", &self.sha256).finish()
    }
}

fn read_text(path: &Path) -> Result<String, LibraryError> {
    let bytes = std::fs::read(path).map_err(|source| LibraryError::Read { path: path.to_owned(), source })?;
    String::from_utf8(bytes).map_err(|error| LibraryError::NotText {
        path: path.to_owned(),
        valid_up_to: error.utf8_error().valid_up_to(),
    })
}

/// The name in a first line like `#!lua name=flowfabric`.
fn name_in_shebang(source: &str) -> Option<&str> {
    let mut words = source.lines().next()?.strip_prefix("#!")?.split_whitespace();
    if !words.next()?.eq_ignore_ascii_case("lua") {
        return None;
    }
    words.find_map(|word| word.strip_prefix("name=")).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_library_is_what_its_crate_says() {
        let library = Library::published();
        assert_eq!(name_in_shebang(library.source()), Some(library.name()));
        assert_eq!(library.sha256().len(), 64);
        assert!(library.source().contains(&format!("return '{}'", library.version())));
    }

    #[test]
    fn the_published_text_is_the_published_library_and_one_more_letter_makes_another() {
        let published = Library::published();
        let copy = Library::from_source("a copy", published.source()).unwrap();
        assert!(copy == published && copy.is_published());
        let edited = Library::from_source("an edit", &format!("{}\n", published.source())).unwrap();
        assert!(!edited.is_published() && edited.version().starts_with("flowfabric@"), "{edited:?}");
        assert!(!published.mutant(&Mutant::all()[0]).is_published());
    }

    #[test]
    fn a_library_from_a_file_is_known_by_its_name_and_hash() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/libraries/minimal.lua");
        let library = Library::from_file(path).unwrap();
        assert_eq!(library.name(), "minimal");
        assert_eq!(library.version(), format!("minimal@{}", &library.sha256()[..12]));
    }

    #[test]
    fn a_file_that_is_no_library_is_refused_with_what_a_library_begins_with() {
        let missing = Library::from_file("no/such/library.lua").unwrap_err();
        assert!(missing.to_string().starts_with("cannot read the library no/such/library.lua"), "{missing}");
        let dir = std::env::temp_dir().join(format!("grantsim-library-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("broken.lua");
        std::fs::write(&path, b"#!lua name=x\n\xff").unwrap();
        let bytes = Library::from_file(&path).unwrap_err();
        assert!(bytes.to_string().contains("byte 13"), "{bytes}");
        std::fs::remove_dir_all(&dir).unwrap();
        for text in ["", "return 1", "#!lua", "#!js name=x", "#!lua name=\n"] {
            let error = Library::from_source("it", text).unwrap_err();
            assert!(error.to_string().contains("`#!lua name=<library>`"), "{error}");
        }
    }
}
