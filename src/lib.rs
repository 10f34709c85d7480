//! grantsim: deterministic simulation and property testing of claim grants and leases kept in Valkey.

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
