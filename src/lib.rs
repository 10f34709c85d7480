//! grantsim: deterministic simulation and property testing of claim grants and leases kept in Valkey.
//!
//! A [`plan`] says what will happen, as data. Driving it shows what happens, moment by moment, to the properties and to
//! whoever else looks; what they find is a verdict, and what people read of it a report:
//!
//! ```text
//! token ─► plan ─► drive ─► moments ─► properties ─► verdict ─► report
//!                    │         │
//!                    │         └─ the keyspace before and after each call, typed by view; kept as a trace
//!                    ├─ actor: submitter, schedulers, workers, scanners; pure step machines that speak protocol
//!                    └─ valkey_sim: the server, its Lua, the network, the clocks
//! ```
//!
//! The floors, from the ground up; imports only point down (`tests/house.rs`):
//!
//! | floor | what stands there |
//! |---|---|
//! | [`types`] | the vocabulary: grants, nodes, lanes, times, functions, codes, states |
//! | [`library`] | which function library is under test, and mutants of it |
//! | [`protocol`] | typed calls: named fields in, KEYS and ARGV out, and the reply read back |
//! | [`plan`] | plans, profiles, tokens |
//! | [`view`] | FlowFabric's keyspace, typed, read on demand from a handle |
//! | [`trace`] | events and moments, and how a run is kept in a file |
//! | [`property`] | what must hold, what must be reached: one promise a file |
//! | [`actor`] | the processes that talk to the server |
//! | [`drive`] | runs a plan; madsim is in `drive/sim.rs` and nowhere else |
//! | [`finding`] | known breaks of the published library |
//! | [`shrink`] | the smallest plan that still shows a violation |
//! | [`compare`] | what a change to the library changed, call by call |
//! | [`explore`] | every history up to a depth: of calls, or of a small world |
//! | [`hunt`] | many seeds, in parallel, and what came of all of them |
//! | [`report`] | what people read |
//! | [`check`](mod@check) | hunts and folders of plans as tests of another crate |
//!
//! On top stands the program, `src/command/`: a command a file.
//!
//! A test of your own library, whatever its functions and keys are called (`docs/your-own-library.md`):
//!
//! ```
//! use grantsim::library::Library;
//!
//! let locks = Library::from_file("fixtures/libraries/locks.lua").expect("a library");
//! grantsim::check("crash", locks).seeds(3).assert();
//! ```
//!
//! `docs/architecture.md` tells how a plan becomes a verdict, and how to add a property, a fault, a function, an actor.
//!
//! One run, by hand:
//!
//! ```
//! use grantsim::{drive::{self, Subject}, library::Library, plan::token::Token, property::{self, catalogue}};
//!
//! let subject = Subject::new(Library::published())?;
//! let plan = Token::new("race", 7)?.plan();
//! let trace = drive::run(&plan, &subject)?;
//! assert_eq!(property::judge(&trace, catalogue::promises()).violations, []);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

/// As the program has it.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod actor;
pub mod check;
pub mod compare;
pub mod drive;
pub mod explore;
pub mod finding;
pub mod hunt;
pub mod library;
pub mod plan;
pub mod property;
pub mod protocol;
pub mod report;
pub mod shrink;
pub mod trace;
pub mod types;
pub mod view;

pub use check::{check, plans};
