//! Which function library is under test: the published one, one from a file, or a [`Mutant`] of either.
//!
//! A library is its text. What it [registers](Functions) is for the server to say, once it is loaded. Nothing here
//! runs Lua.

use std::{
    collections::BTreeSet,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use valkey_sim::engine::Reply;

mod mutant;

pub use mutant::{Mutant, MutantError};

/// The text of a function library, and what it is called.
///
/// ```
/// use grantsim::library::Library;
/// let library = Library::published();
/// assert_eq!((library.name(), library.version()), ("flowfabric", "34"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Library {
    name: Arc<str>,
    version: Arc<str>,
    source: Arc<str>,
    sha256: Arc<str>,
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

    /// A library from a file.
    ///
    /// # Errors
    /// The file cannot be read, is not UTF-8, or does not begin with `#!lua name=…`. Whether the Lua is any good is
    /// found out by loading it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, LibraryError> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|source| LibraryError::Read { path: path.to_owned(), source })?;
        let text = String::from_utf8(bytes).map_err(|error| LibraryError::NotText {
            path: path.to_owned(),
            valid_up_to: error.utf8_error().valid_up_to(),
        })?;
        Self::from_source(&format!("the file {}", path.display()), &text)
    }

    /// A library from its text; `origin` says in a message where the text comes from.
    ///
    /// # Errors
    /// The text does not begin with `#!lua name=…`.
    pub fn from_source(origin: &str, source: &str) -> Result<Self, LibraryError> {
        let name = name_in_shebang(source).ok_or_else(|| LibraryError::NoShebang {
            origin: origin.to_owned(),
            found: source.lines().next().unwrap_or_default().chars().take(60).collect(),
        })?;
        let version = format!("{name}@{}", &crate::digest::sha256_hex(source.as_bytes())[..12]);
        Ok(Self::new(name, &version, source))
    }

    /// This library, changed by a mutant. Its line numbers stay as they are.
    pub fn mutant(&self, mutant: &Mutant) -> Self {
        let source = mutant.apply(&self.source);
        Self::new(&self.name, &format!("{}+{}", self.version, mutant.name), &source)
    }

    fn new(name: &str, version: &str, source: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            source: source.into(),
            sha256: crate::digest::sha256_hex(source.as_bytes()).into(),
        }
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

/// The name in a first line like `#!lua name=flowfabric`.
fn name_in_shebang(source: &str) -> Option<&str> {
    let mut words = source.lines().next()?.strip_prefix("#!")?.split_whitespace();
    if !words.next()?.eq_ignore_ascii_case("lua") {
        return None;
    }
    words.find_map(|word| word.strip_prefix("name=")).filter(|name| !name.is_empty())
}

/// The function by which a worker claims a grant. FlowFabric's documentation names both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimFunction {
    /// `ff_claim_execution`: what the published library registers.
    #[default]
    ClaimExecution,
    /// `ff_acquire_lease`: "or", as the documentation has it.
    AcquireLease,
}

impl ClaimFunction {
    /// The function's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            ClaimFunction::ClaimExecution => "ff_claim_execution",
            ClaimFunction::AcquireLease => "ff_acquire_lease",
        }
    }
}

/// The functions that a server has, by its own list.
///
/// ```
/// use grantsim::library::{ClaimFunction, Functions};
/// let functions = Functions::from_iter(["ff_version", "ff_acquire_lease"]);
/// assert!(functions.has("FF_VERSION"));
/// assert_eq!(functions.claim_function().unwrap(), ClaimFunction::AcquireLease);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Functions {
    /// In lower case: a server does not distinguish.
    names: BTreeSet<String>,
}

/// Why a server's functions cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunctionsError {
    /// The reply is no list of functions.
    #[error("FUNCTION LIST should answer libraries with their functions, and answered {0}")]
    Malformed(String),
    /// Nothing to claim with.
    #[error(
        "the library registers neither ff_claim_execution nor ff_acquire_lease, so nothing can be claimed; \
         it registers {0}"
    )]
    NoClaim(String),
}

impl Functions {
    /// Reads the reply to `FUNCTION LIST`, in its RESP2 or RESP3 shape.
    ///
    /// # Errors
    /// The reply has another shape, or is an error.
    pub fn from_list(reply: &Reply) -> Result<Self, FunctionsError> {
        let read = || {
            let mut names = Vec::new();
            for library in items(reply)? {
                for function in items(field(library, "functions")?)? {
                    names.push(crate::protocol::reply::text(field(function, "name")?)?);
                }
            }
            Some(names)
        };
        read().map(Self::from_iter).ok_or_else(|| FunctionsError::Malformed(format!("{reply:?}")))
    }

    /// Whether there is such a function.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(&name.to_ascii_lowercase())
    }

    /// Which function a claim is sent to.
    ///
    /// # Errors
    /// There is none; the message says what there is.
    pub fn claim_function(&self) -> Result<ClaimFunction, FunctionsError> {
        [ClaimFunction::ClaimExecution, ClaimFunction::AcquireLease]
            .into_iter()
            .find(|function| self.has(function.as_str()))
            .ok_or_else(|| FunctionsError::NoClaim(self.iter().collect::<Vec<_>>().join(", ")))
    }

    /// The names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

impl<S: AsRef<str>> FromIterator<S> for Functions {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self { names: names.into_iter().map(|name| name.as_ref().to_ascii_lowercase()).collect() }
    }
}

fn items(reply: &Reply) -> Option<&[Reply]> {
    match reply {
        Reply::Array(items) | Reply::Set(items) => Some(items),
        _ => None,
    }
}

/// The value of a field of a map, or of the flat array that RESP2 makes of it.
fn field<'a>(reply: &'a Reply, name: &str) -> Option<&'a Reply> {
    let named = |key: &Reply| crate::protocol::reply::text(key).as_deref() == Some(name);
    match reply {
        Reply::Map(pairs) => pairs.iter().find(|(key, _)| named(key)).map(|(_, value)| value),
        Reply::Array(flat) => flat.chunks_exact(2).find(|pair| named(&pair[0])).map(|pair| &pair[1]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(functions: &[&str], flat: bool) -> Reply {
        let map = |pairs: Vec<(Reply, Reply)>| match flat {
            true => Reply::Array(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect()),
            false => Reply::Map(pairs),
        };
        let function = |name: &&str| {
            map(vec![(Reply::bulk("name"), Reply::bulk(name)), (Reply::bulk("flags"), Reply::Null)])
        };
        Reply::Array(vec![map(vec![
            (Reply::bulk("library_name"), Reply::bulk("l")),
            (Reply::bulk("functions"), Reply::Array(functions.iter().map(function).collect())),
        ])])
    }

    #[test]
    fn what_is_registered_is_read_from_both_protocols() {
        for flat in [true, false] {
            let functions = Functions::from_list(&list(&["ff_version", "ff_claim_execution"], flat)).unwrap();
            assert!(functions.has("ff_version") && !functions.has("ff_renew_lease"));
            assert_eq!(functions.claim_function(), Ok(ClaimFunction::ClaimExecution));
        }
        assert!(matches!(Functions::from_list(&Reply::OK), Err(FunctionsError::Malformed(_))));
    }

    #[test]
    fn a_library_that_nothing_can_be_claimed_with_says_what_it_has() {
        let error = Functions::from_iter(["ff_version"]).claim_function().unwrap_err();
        assert!(error.to_string().ends_with("it registers ff_version"), "{error}");
    }

    #[test]
    fn the_published_library_is_what_its_crate_says() {
        let library = Library::published();
        assert_eq!(name_in_shebang(library.source()), Some(library.name()));
        assert_eq!(library.sha256().len(), 64);
        assert!(library.source().contains(&format!("return '{}'", library.version())));
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
