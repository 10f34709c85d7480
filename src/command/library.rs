//! Which library is tested, and by which properties: the flags that every command has that runs plans.

use std::{fmt::Display, path::PathBuf};

use clap::Args;
use grantsim::{
    drive::Subject,
    library::{Library, Mutant},
    plan::Plan,
    property::{self, Entry, Expect, catalogue},
};
use valkey_sim::engine::{Dialect, UnknownDialect};

use super::values::{Named, program, quoted};

/// A property that can be judged by.
#[derive(Clone, Copy)]
struct Judged(&'static Entry);

#[derive(Args)]
pub(super) struct LibraryArgs {
    /// The function library to test: a Lua file. The published FlowFabric library when absent.
    #[arg(long, value_name = "FILE")]
    pub(super) library: Option<PathBuf>,
    /// Break the library in a known way first, to see what a failure looks like: a mutant by name, or one in a Lua file.
    #[arg(long, value_name = "NAME", value_parser = mutants())]
    pub(super) mutant: Option<Mutant>,
    /// Another version of it: a Lua file that takes its place for a while in the plans in which the library is replaced in
    /// mid-flight. The same again when absent.
    #[arg(long, value_name = "FILE")]
    other: Option<PathBuf>,
    /// The server to simulate.
    #[arg(long, value_name = "DIALECT", value_parser = dialects())]
    pub(super) dialect: Option<Dialect>,
    /// Judge by this property only; may be repeated.
    #[arg(long = "property", value_name = "NAME", value_parser = properties())]
    properties: Vec<Judged>,
}

impl LibraryArgs {
    pub(super) fn library(&self) -> anyhow::Result<Library> {
        let library = self.library.as_deref().map_or_else(|| Ok(Library::published()), Library::from_file)?;
        Ok(self.mutant.as_ref().map_or(library.clone(), |mutant| library.mutant(mutant)))
    }

    /// The library, ready to be run, with the version that may take its place.
    pub(super) fn subject(&self) -> anyhow::Result<Subject> {
        let subject = Subject::new(self.library()?)?;
        Ok(match &self.other {
            Some(path) => subject.beside(Library::from_file(path)?)?,
            None => subject,
        })
    }

    /// The properties to judge by, each once.
    pub(super) fn properties(&self) -> Vec<&'static Entry> {
        let mut chosen: Vec<&'static Entry> = Vec::new();
        for Judged(entry) in &self.properties {
            if chosen.iter().all(|other| other.name != entry.name) {
                chosen.push(entry);
            }
        }
        if chosen.is_empty() { catalogue::promises().collect() } else { chosen }
    }

    pub(super) fn adjust(&self, plan: &mut Plan) {
        if let Some(dialect) = self.dialect {
            plan.dialect = dialect;
        }
    }

    pub(super) fn flags(&self) -> String {
        let library = self.library.iter().map(|path| format!(" --library {}", quoted(&path.display())));
        let mutant = self.mutant.iter().map(|mutant| match &mutant.file {
            Some(path) => format!(" --mutant {}", quoted(&path.display())),
            None => format!(" --mutant {}", quoted(&mutant.name)),
        });
        let other = self.other.iter().map(|path| format!(" --other {}", quoted(&path.display())));
        let dialect = self.dialect.iter().map(|dialect| format!(" --dialect {dialect}"));
        library.chain(mutant).chain(other).chain(dialect).collect()
    }

    /// The line to copy that replays a token or a plan file.
    pub(super) fn replay_line(&self, what: &impl Display) -> String {
        format!("{} replay {}{} --timeline", program(), quoted(what), self.flags())
    }
}

pub(super) fn mutants() -> Named<Mutant> {
    let values = Mutant::all().into_iter().map(|mutant| (mutant.name, mutant.sentence));
    Named::new(values, |name| {
        if name.ends_with(".lua") {
            return Mutant::from_file(name.as_ref()).map_err(|why| why.to_string());
        }
        let names = || Mutant::all().into_iter().map(|mutant| mutant.name).collect::<Vec<_>>().join(", ");
        Mutant::named(name).ok_or_else(|| {
            format!("no mutant is called {name:?}, and a file of one ends in .lua; there are {}", names())
        })
    })
}

fn dialects() -> Named<Dialect> {
    let values = [Dialect::Valkey8, Dialect::Redis7].map(|it| (it.name().to_owned(), String::new()));
    Named::new(values, |name| name.parse().map_err(|why: UnknownDialect| why.to_string()))
}

fn properties() -> Named<Judged> {
    let values = catalogue::all().filter(|entry| is_judged(entry));
    Named::new(values.map(|entry| (entry.name.to_owned(), entry.claim.to_owned())), |name| {
        let entry = property::find(name).map_err(|why| why.to_string())?;
        is_judged(entry).then_some(Judged(entry)).ok_or_else(|| {
            format!(
                "{name} is a state that hunts reach, not a property that can break: `grantsim properties` lists those"
            )
        })
    })
}

fn is_judged(entry: &Entry) -> bool {
    !matches!(entry.expect, Expect::Sometimes { .. })
}
