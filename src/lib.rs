//! grantsim: deterministic simulation and property testing of claim grants and leases kept in Valkey.
//!
//! A [`plan`] says what will happen, as data; a [`trace`] says what happened, as data. Everything else is a function
//! from one to the other:
//!
//! ```text
//! token ─► plan ─► drive ─► trace ─► property ─► report
//!                    │
//!                    ├─ actor: submitter, scheduler, workers, scanners; pure step machines that speak protocol
//!                    └─ valkey_sim: the server, its Lua, the network, the clocks
//! ```
//!
//! From the bottom up:
//!
//! - [`grant`], [`node`]: the documented types of a grant's life, and the names of processes;
//! - [`library`]: which function library is under test;
//! - [`plan`]: plans, profiles, tokens; [`trace`]: events, and how they are read from what the server wrote;
//! - [`protocol`]: typed calls; [`actor`]: who makes them; [`property`]: what must hold;
//! - [`drive`]: runs a plan under madsim;
//! - [`finding`], [`hunt`], [`report`]: many seeds, known breaks, and what people read of them.
//!
//! ```
//! use grantsim::{drive::{self, Subject}, library::Library, plan::token::Token, property};
//!
//! let subject = Subject::new(Library::published())?;
//! let plan = Token::new("crash", 7)?.plan();
//! let trace = drive::run(&plan, &subject)?;
//! let all: Vec<_> = property::CATALOGUE.iter().collect();
//! assert_eq!(property::judge(&trace.events, &all), []);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(not(madsim))]
compile_error!("grantsim simulates time with madsim and needs `--cfg madsim` (see .cargo/config.toml).");

pub mod actor;
pub mod digest;
pub mod drive;
pub mod finding;
pub mod grant;
pub mod hunt;
pub mod library;
pub mod node;
pub mod plan;
pub mod property;
pub mod protocol;
pub mod report;
pub mod trace;
