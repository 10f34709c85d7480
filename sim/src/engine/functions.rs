//! The function registry: libraries by name, functions by name.

use std::{collections::BTreeMap, rc::Rc};

use bytes::Bytes;
use indexmap::IndexMap;

use super::{Dialect, ErrorReply, script_cache::ScriptCache, value::FixedState};
use crate::lua::{BAD_NAME, Function, Interpreter, PersistentState, is_name};

/// The loaded libraries, the known scripts, and what Lua carries from call to call. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    libraries: Rc<Libraries>,
    /// The scripts that EVALSHA knows.
    pub scripts: ScriptCache,
    /// The state of `math.random` and of `cjson`.
    pub persistent: PersistentState,
}

#[derive(Clone, Debug, Default)]
struct Libraries {
    by_name: BTreeMap<String, Rc<Library>>,
    /// The library and position of every function, by its name in small letters.
    functions: IndexMap<Vec<u8>, (Rc<Library>, usize), FixedState>,
}

/// A library: one text that registered some functions.
#[derive(Debug)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// Its text, `#!` line and all.
    pub code: Bytes,
    /// Its functions, in the order in which they were registered.
    pub functions: Vec<Function>,
}

/// A function to call; keeps its library alive.
#[derive(Clone, Debug)]
pub struct Found {
    library: Rc<Library>,
    position: usize,
}

impl std::ops::Deref for Found {
    type Target = Function;

    fn deref(&self) -> &Function {
        &self.library.functions[self.position]
    }
}

impl Functions {
    /// Loads a library and returns its name. On any error nothing changes, also with `replace`.
    ///
    /// # Errors
    /// What `FUNCTION LOAD` answers.
    pub fn load(
        &mut self,
        code: &[u8],
        replace: bool,
        dialect: Dialect,
        interpreter: &Interpreter,
    ) -> Result<String, ErrorReply> {
        let header = Header::parse(code)?;
        let name = header.name;
        let old = self.libraries.by_name.get(&name);
        if old.is_some() && !replace {
            return Err(format!("ERR Library '{name}' already exists").into());
        }
        let functions = interpreter.load(dialect, header.body)?;
        if functions.is_empty() {
            return Err(ErrorReply::new("ERR No functions registered"));
        }
        for function in &functions {
            if let Some((owner, _)) = self.libraries.functions.get(&key(function.name.as_bytes()))
                && owner.name != name
            {
                return Err(format!("ERR Function {} already exists", function.name).into());
            }
        }
        self.delete(&name);
        let library = Rc::new(Library { name: name.clone(), code: Bytes::copy_from_slice(code), functions });
        let libraries = Rc::make_mut(&mut self.libraries);
        for (position, function) in library.functions.iter().enumerate() {
            let slot = libraries.functions.entry(key(function.name.as_bytes()));
            slot.or_insert_with(|| (Rc::clone(&library), position));
        }
        libraries.by_name.insert(name.clone(), library);
        Ok(name)
    }

    /// Takes a library away; false when there is none of this name.
    pub fn delete(&mut self, name: &str) -> bool {
        if !self.libraries.by_name.contains_key(name) {
            return false;
        }
        let libraries = Rc::make_mut(&mut self.libraries);
        libraries.by_name.remove(name);
        libraries.functions.retain(|_, (library, _)| library.name != name);
        true
    }

    /// Takes all libraries away.
    pub fn clear(&mut self) {
        self.libraries = Rc::default();
    }

    /// The function of a name, in any case.
    pub fn find(&self, name: &[u8]) -> Option<Found> {
        let (library, position) = self.libraries.functions.get(&key(name))?;
        Some(Found { library: Rc::clone(library), position: *position })
    }

    /// The libraries, by name.
    pub fn libraries(&self) -> impl ExactSizeIterator<Item = &Library> {
        self.libraries.by_name.values().map(|library| &**library)
    }

    /// How many functions there are.
    pub fn function_count(&self) -> usize {
        self.libraries.functions.len()
    }
}

fn key(name: &[u8]) -> Vec<u8> {
    name.to_ascii_lowercase()
}

/// What the first line of a library says: `#!lua name=flowfabric`.
struct Header<'a> {
    name: String,
    /// The rest, from the end of that line on, so that line numbers stay right.
    body: &'a [u8],
}

impl<'a> Header<'a> {
    fn parse(code: &'a [u8]) -> Result<Self, ErrorReply> {
        const INVALID: ErrorReply = ErrorReply::new("ERR Invalid library metadata");
        if !code.starts_with(b"#!") {
            return Err(ErrorReply::new("ERR Missing library metadata"));
        }
        let end = code.iter().position(|&b| b == b'\n').ok_or(INVALID)?;
        let words = split_words(&code[2..end]).ok_or(INVALID)?;
        // `#! name=x` names no engine.
        let glued = end > 2 && !code[2].is_ascii_whitespace();
        let (engine, options) =
            if glued { words.split_first().ok_or(INVALID)? } else { (&String::new(), &words[..]) };
        let mut name = None;
        for option in options {
            match option.split_at_checked(5) {
                Some((key, value)) if key.eq_ignore_ascii_case("name=") => {
                    if name.replace(value).is_some() {
                        let text = "ERR Invalid metadata value, name argument was given multiple times";
                        return Err(ErrorReply::new(text));
                    }
                }
                _ => return Err(format!("ERR Invalid metadata value given: {option}").into()),
            }
        }
        let name = name.ok_or(ErrorReply::new("ERR Library name was not given"))?;
        if !is_name(name.as_bytes()) {
            return Err(format!("ERR {BAD_NAME}").into());
        }
        if !engine.eq_ignore_ascii_case("lua") {
            return Err(format!("ERR Engine '{engine}' not found").into());
        }
        Ok(Self { name: name.to_owned(), body: &code[end..] })
    }
}

/// Splits a line into words, of which parts may be quoted; `None` when a quote is not closed.
pub fn split_words(line: &[u8]) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.iter().copied().peekable();
    loop {
        while rest.next_if(u8::is_ascii_whitespace).is_some() {}
        let mut word = Vec::new();
        let Some(&first) = rest.peek() else { return Some(words) };
        let _ = first;
        while let Some(byte) = rest.next_if(|b| !b.is_ascii_whitespace()) {
            if byte != b'"' && byte != b'\'' {
                word.push(byte);
                continue;
            }
            loop {
                match rest.next()? {
                    closing if closing == byte => break,
                    b'\\' => word.push(rest.next()?),
                    other => word.push(other),
                }
            }
            if rest.peek().is_some_and(|b| !b.is_ascii_whitespace()) {
                return None;
            }
        }
        words.push(String::from_utf8_lossy(&word).into_owned());
    }
}
