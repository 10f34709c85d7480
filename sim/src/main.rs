//! The command line of `valkey-sim`, and nothing else: arguments in, a server on a socket, an exit code.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use tokio::{runtime, task::LocalSet};
use valkey_sim::{
    engine::{Dialect, Engine},
    lua::{Interpreter, Limits},
    server::Server,
    tcp::{HostClock, asked_to_end, end_if_stuck, listen, serve},
};

/// A deterministic Valkey on a real socket, with a clock that a test can turn (see `SIM HELP`).
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// The port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 6379)]
    port: u16,
    /// The address to listen on. Whoever reaches it may do everything: there is no password.
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// The server to answer as: valkey-8 or redis-7.
    #[arg(long, default_value_t)]
    dialect: Dialect,
    /// The clock to start with; `SIM CLOCK` turns either.
    #[arg(long, value_enum, default_value_t = ClockKind::Wall)]
    clock: ClockKind,
    /// Answers as a cluster of one node, which has all slots.
    #[arg(long)]
    cluster: bool,
    /// The seed of all random choices.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum ClockKind {
    /// The machine's time.
    Wall,
    /// Stands still at 1700000000000 ms until it is turned.
    Manual,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("valkey-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let watched = end_if_stuck(|why| say(format_args!("valkey-sim ends in the middle of a script: {why}")));
    watched.context("cannot watch for signals")?;
    LocalSet::new().block_on(&runtime, async {
        let ended = asked_to_end().context("cannot watch for signals")?;
        let wanted = SocketAddr::new(cli.bind, cli.port);
        let listener = listen(wanted).with_context(|| format!("cannot listen on {wanted}"))?;
        let address = listener.local_addr()?;
        let server = Server::new(engine(cli, address.port())?, cli.clock.start(), ());
        say(format_args!("valkey-sim {} listens on {address} as {}", env!("CARGO_PKG_VERSION"), cli.dialect));
        let why = serve(server, listener, ended).await.unwrap_or("SHUTDOWN");
        say(format_args!("valkey-sim ends: {why}"));
        Ok(())
    })
}

/// Prints a line for whoever listens; a server goes on when nobody does.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn engine(cli: &Cli, port: u16) -> anyhow::Result<Engine> {
    let limits = match cli.clock {
        // A script that does not end is ended by a client, as on a real server: time goes on while it runs.
        ClockKind::Wall => Limits { instructions_per_call: u64::MAX, ..Limits::default() },
        ClockKind::Manual => Limits::default(),
    };
    let mut engine = Engine::new(cli.dialect, Interpreter::new(limits));
    engine.seed(cli.seed);
    engine.keep_effects();
    if cli.cluster {
        engine.be_cluster();
    }
    engine.configure("port", &port.to_string()).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(engine)
}

impl ClockKind {
    fn start(self) -> HostClock {
        match self {
            ClockKind::Wall => HostClock::wall(),
            ClockKind::Manual => HostClock::manual(),
        }
    }
}
