//! What comparing with a real server takes: both servers behind one trait, a dump of what they hold, transcripts of
//! what was said, and choices to generate commands from.

#![allow(dead_code, reason = "each test uses its own part")]

pub mod choices;
pub mod commands;
pub mod company;
pub mod compare;
pub mod conversation;
pub mod cut;
pub mod differences;
pub mod dump;
pub mod executor;
pub mod floors;
pub mod fuzzing;
pub mod real;
pub mod seeds;
pub mod server;
pub mod several;
pub mod simulated;
pub mod transcript;
pub mod values;
