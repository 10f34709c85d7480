//! Which library is tested, and by which properties: the flags that every command has that runs plans.

use std::{fmt::Display, path::PathBuf};

use anyhow::Context;
use clap::Args;
use grantsim::{
    library::{Library, Mutant},
    plan::Plan,
    property::{self, Entry, Expect, catalogue},
};
use valkey_sim::engine::Dialect;

use super::values::quoted;

#[derive(Args)]
pub(super) struct LibraryArgs {
    /// The function library to test: a Lua file. The published FlowFabric library when absent.
    #[arg(long, value_name = "FILE")]
    pub(super) library: Option<PathBuf>,
    /// Break the library in a known way first, to see what a failure looks like.
    #[arg(long, value_name = "NAME")]
    pub(super) mutant: Option<String>,
    /// The server to simulate: valkey-8 or redis-7.
    #[arg(long, value_name = "DIALECT")]
    pub(super) dialect: Option<Dialect>,
    /// Judge by this property only; may be repeated.
    #[arg(long = "property", value_name = "NAME")]
    pub(super) properties: Vec<String>,
}

impl LibraryArgs {
    pub(super) fn library(&self) -> anyhow::Result<Library> {
        let library = self.library.as_deref().map_or_else(|| Ok(Library::published()), Library::from_file)?;
        match &self.mutant {
            None => Ok(library),
            Some(name) => {
                let mutant = Mutant::named(name);
                let names: Vec<_> = Mutant::all().into_iter().map(|mutant| mutant.name).collect();
                let mutant = mutant.with_context(|| {
                    format!("no mutant is called {name:?}; there are {}", names.join(", "))
                })?;
                Ok(library.mutant(&mutant))
            }
        }
    }

    /// The properties to judge by, each once.
    pub(super) fn properties(&self) -> anyhow::Result<Vec<&'static Entry>> {
        let mut chosen: Vec<&'static Entry> = Vec::new();
        for name in &self.properties {
            let entry = property::find(name)?;
            anyhow::ensure!(
                !matches!(entry.expect, Expect::Sometimes { .. }),
                "{name} is a state that hunts reach, not a property that can break: `grantsim properties` lists those"
            );
            if chosen.iter().all(|other| other.name != entry.name) {
                chosen.push(entry);
            }
        }
        Ok(if chosen.is_empty() { catalogue::always().collect() } else { chosen })
    }

    pub(super) fn adjust(&self, plan: &mut Plan) {
        if let Some(dialect) = self.dialect {
            plan.dialect = dialect;
        }
    }

    pub(super) fn flags(&self) -> String {
        let library = self.library.iter().map(|path| format!(" --library {}", quoted(&path.display())));
        let mutant = self.mutant.iter().map(|name| format!(" --mutant {name}"));
        let dialect = self.dialect.iter().map(|dialect| format!(" --dialect {dialect}"));
        library.chain(mutant).chain(dialect).collect()
    }

    /// The line to copy that replays a token or a plan file.
    pub(super) fn replay_line(&self, what: &impl Display) -> String {
        format!("cargo run --release -- replay {}{} --timeline", quoted(what), self.flags())
    }
}
