//! A deterministic Valkey.
//!
//! [`engine`] is the server without its world: a keyspace, the commands and their effects, handed the time
//! with every command. [`lua`] runs functions and scripts in it. [`resp`] and [`server`] put it behind any
//! byte stream; [`link`] is a simulated network of such streams, and [`clock`] gives every node a clock of
//! its own. [`tcp`] is the way out of the simulation: the same server on real sockets. This crate knows nothing about grants.
//!
//! The modules are floors of a house, and imports only point down; `tests/floors.rs` holds them to it. From the ground up:
//!
//! | floor | what lives there |
//! |---|---|
//! | `base` | what every floor names: replies, times, dialects, numbers, limits |
//! | `random` | a seeded source of randomness |
//! | `hash` | a hash of 128 bits for states |
//! | `clock` | one clock a node |
//! | `resp` | the wire protocol |
//! | `lua` | scripts and functions; it names what it needs of a server in [`lua::Host`] |
//! | `engine::value` | the kinds of value a key holds |
//! | `engine` | keyspace, sessions, effects; it is handed the table of commands |
//! | `engine::commands` | the commands, one file a family, and their table |
//! | `durability` | the append-only file, and what a power loss leaves of it |
//! | `replica` | a server that follows another one |
//! | `server` | connections: the engine behind any byte stream |
//! | `link` | the simulated network |
//! | `tcp` | the same server on real sockets |
//!
//! `resp` and `lua` stand side by side, and so do `durability` and `replica`, `link` and `tcp`.
//!
//! The features `link` and `tcp` (both on unless turned off) bring in the modules of their names. `link` needs
//! `--cfg madsim`; without it the crate builds with any cargo: `cargo build -p valkey-sim --no-default-features`.

#[cfg(all(feature = "link", not(madsim)))]
compile_error!(
    "the feature `link` of valkey-sim needs RUSTFLAGS=\"--cfg madsim\"; without it, build with --no-default-features \
     (and --features tcp for the server on real sockets)"
);

pub mod base;
pub mod clock;
pub mod durability;
pub mod engine;
pub mod hash;
#[cfg(all(feature = "link", madsim))]
pub mod link;
pub mod lua;
pub mod random;
pub mod replica;
pub mod resp;
pub mod server;
#[cfg(feature = "tcp")]
pub mod tcp;

/// The examples of the README compile and hold.
#[cfg(all(doctest, feature = "link", madsim))]
#[doc = include_str!("../README.md")]
struct Readme;
