//! The program `grantsim`: its command line is in [`command`], everything else in the library.

mod command;

use std::process::ExitCode;

/// A run is many small allocations on a thread of its own; glibc's allocator took a sixth of the time of a hunt.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    command::main()
}
