//! What this crate claims, as one crate: it is compiled and linked once.
//!
//! A file is a subject; `cargo test -p valkey-sim expiry::` runs one of them.

mod common;
mod support;

mod append_only;
#[cfg(feature = "tcp")]
mod busy;
mod clocks;
mod compiled;
mod config;
mod data_commands;
mod databases;
mod differential;
mod effects;
mod eviction;
mod expiry;
mod floors;
mod hardened;
mod introspection;
#[cfg(all(madsim, feature = "link"))]
mod links;
mod lua;
mod lua_boundary;
mod lua_libraries;
mod lua_limits;
mod lua_reference;
mod memory;
mod min_replicas;
mod published_library;
#[cfg(all(madsim, feature = "link", feature = "tcp"))]
mod published_queue;
#[cfg(all(madsim, feature = "link", feature = "tcp"))]
mod redis_rs;
mod replica_commands;
mod replicas;
mod server;
mod streams;
#[cfg(feature = "tcp")]
mod tcp;
mod transactions;
mod transcripts;
mod waiting_for_replicas;
