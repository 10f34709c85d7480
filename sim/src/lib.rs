//! A deterministic Valkey.
//!
//! [`engine`] is the server without its world: a keyspace, the commands and their effects, handed the time
//! with every command. [`lua`] runs functions and scripts in it. [`resp`] and [`server`] put it behind any
//! byte stream; [`link`] is a simulated network of such streams, and [`clock`] gives every node a clock of
//! its own. [`tcp`] is the way out of the simulation: the same server on real sockets. This crate knows nothing about grants.
//!
//! The pure parts ([`engine`], [`lua`], [`resp`], [`clock`]) build without `--cfg madsim`; [`link`] needs it.

pub mod clock;
pub mod engine;
#[cfg(madsim)]
pub mod link;
pub mod lua;
pub mod random;
pub mod resp;
pub mod server;
pub mod tcp;

/// The examples of the README compile and hold.
#[cfg(all(doctest, madsim))]
#[doc = include_str!("../README.md")]
struct Readme;
