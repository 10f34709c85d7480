//! A house: modules on floors, where imports only point down.
//!
//! This reads the sources, not the compiler's mind: every path that begins with `crate::` or `super::`, in code and in
//! links of the documentation alike, is an import of the floor that it names.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A crate's floors.
pub struct House {
    /// From the ground up. A module belongs to the longest of these that its path begins with.
    pub floors: &'static [&'static str],
    /// Floors that stand side by side: neither imports the other.
    pub apart: &'static [(&'static str, &'static str)],
}

/// An import of one floor by another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    from: String,
    to: String,
    place: String,
}

impl House {
    /// All that is wrong with the sources below a folder: imports that point up, and modules that are on no floor.
    pub fn complaints(&self, sources: &Path) -> Vec<String> {
        let (mut imports, mut wrong) = (BTreeSet::new(), Vec::new());
        for file in files(sources) {
            let text = fs::read_to_string(&file).expect("a source file");
            let name = file.strip_prefix(sources).expect("it is below").to_str().expect("UTF-8").to_owned();
            // What stands above all floors: the crate's root and the program.
            if name == "lib.rs" || name == "main.rs" {
                continue;
            }
            if self.floor_of(&module_of(&name)).is_none() {
                wrong.push(format!("{name} is on no floor"));
            }
            imports.extend(self.imports_of(&name, &text));
        }
        assert!(imports.len() > 20, "the sources were not read: {imports:?}");
        wrong.extend(imports.iter().filter_map(|import| self.complaint(import)));
        wrong
    }

    /// What is wrong with an import, if anything is.
    pub fn complaint(&self, import: &Import) -> Option<String> {
        let Import { from, to, place } = import;
        let height = |floor: &str| self.floors.iter().position(|known| *known == floor);
        let apart =
            self.apart.iter().any(|(one, other)| [one, other] == [from, to] || [other, one] == [from, to]);
        if apart {
            return Some(format!(
                "{place}: `{from}` and `{to}` stand side by side and import nothing of each other"
            ));
        }
        match (height(from), height(to)) {
            (Some(from_height), Some(to_height)) if to_height <= from_height => None,
            (_, Some(_)) => Some(format!("{place}: `{from}` imports `{to}`, which stands above it")),
            (_, None) => Some(format!("{place}: `{from}` imports `{to}`, which is on no floor")),
        }
    }

    /// The floor that a path leads to: the longest of those that it begins with.
    fn floor_of(&self, path: &[&str]) -> Option<&'static str> {
        let begins = |floor: &&&str| {
            let mut names = floor.split("::");
            path.iter().zip(&mut names).all(|(name, floor_name)| *name == floor_name)
                && names.next().is_none()
        };
        self.floors.iter().filter(begins).max_by_key(|floor| floor.len()).copied()
    }

    /// What a file imports from other floors.
    pub fn imports_of(&self, file: &str, text: &str) -> BTreeSet<Import> {
        let module = module_of(file);
        let mut imports = BTreeSet::new();
        let Some(from) = self.floor_of(&module) else { return imports };
        for (number, written) in paths(text) {
            let path = absolute(&module, &written);
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            let Some(first) = names.first() else { continue };
            // A `super` within `mod tests` leads one module too high, and so to a name that is none.
            let is_relative = written[0] == "super";
            let Some(to) = self.floor_of(&names).or((!is_relative).then_some(first)) else { continue };
            if to != from {
                imports.insert(Import {
                    from: from.to_owned(),
                    to: to.to_owned(),
                    place: format!("{file}:{number}"),
                });
            }
        }
        imports
    }
}

/// All Rust files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The path of the module in a file: `engine/commands/mod.rs` is `engine::commands`.
fn module_of(file: &str) -> Vec<&str> {
    let mut module: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    if matches!(module.last(), Some(&"mod" | &"lib")) {
        module.pop();
    }
    module
}

/// A path as written, with every `super` resolved as at the top of the file.
fn absolute(module: &[&str], path: &[String]) -> Vec<String> {
    let supers = path.iter().take_while(|name| *name == "super").count();
    let (base, rest) = match path.first().map(String::as_str) {
        Some("crate") => (&[][..], &path[1..]),
        _ => (&module[..module.len().saturating_sub(supers)], &path[supers..]),
    };
    base.iter().map(|name| (*name).to_owned()).chain(rest.iter().cloned()).collect()
}

/// Every path in a text that begins with `crate::` or `super::`, its groups taken apart, with the number of its line.
fn paths(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let begins_word =
            !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$');
        if begins_word && (rest.starts_with("crate::") || rest.starts_with("super::")) {
            let number = text[..at].lines().count().max(1);
            let mut tokens = Tokens { rest };
            let mut paths = Vec::new();
            tree(&mut tokens, &mut Vec::new(), &mut paths);
            found.extend(paths.into_iter().map(|path| (number, path)));
            at = text.len() - tokens.rest.len();
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    found
}

/// Reads `a::b::{c, d::e}` into the paths that it stands for.
fn tree(tokens: &mut Tokens<'_>, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let before = prefix.len();
    loop {
        match tokens.next() {
            Token::Name(name) => prefix.push(name.to_owned()),
            Token::Open => {
                loop {
                    tree(tokens, prefix, found);
                    if tokens.peek() == Token::Comma {
                        tokens.next();
                    }
                    match tokens.peek() {
                        Token::Close => break,
                        Token::Other => break,
                        _ => {}
                    }
                }
                if tokens.peek() == Token::Close {
                    tokens.next();
                }
                prefix.truncate(before);
                return;
            }
            _ => break,
        }
        if tokens.peek() != Token::Colons {
            break;
        }
        tokens.next();
    }
    if prefix.len() > before {
        found.push(prefix.clone());
    }
    prefix.truncate(before);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'t> {
    Name(&'t str),
    Colons,
    Open,
    Close,
    Comma,
    Other,
}

struct Tokens<'t> {
    rest: &'t str,
}

impl<'t> Tokens<'t> {
    fn peek(&self) -> Token<'t> {
        Tokens { rest: self.rest }.next()
    }

    fn next(&mut self) -> Token<'t> {
        let rest = self.rest.trim_start();
        let (token, length) = match rest.chars().next() {
            Some(c) if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                (Token::Name(&rest[..end]), end)
            }
            Some(':') if rest.starts_with("::") => (Token::Colons, 2),
            Some('{') => (Token::Open, 1),
            Some('}') => (Token::Close, 1),
            Some(',') => (Token::Comma, 1),
            _ => return Token::Other,
        };
        self.rest = &rest[length..];
        token
    }
}
