//! Every mutant of the published library and of minimal.lua loads on a real server, and the unchanged libraries do.
//!
//! Needs `redis-server` and `redis-cli`; without them the test says that it compared nothing. Whether a mutant is
//! *killed* is for the hunts to show.

use std::{
    io::Write,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use grantsim::library::{Library, Mutant};

/// A server on a socket of its own, stopped when it is dropped.
struct Server {
    process: Child,
    dir: PathBuf,
}

impl Server {
    /// `None` where there is no server to start.
    fn start() -> Option<Self> {
        let dir = std::env::temp_dir().join(format!("grantsim-mutants-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory for the socket");
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket", "s"])
            .current_dir(&dir)
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let server = Self { process, dir };
        let start = Instant::now();
        while server.cli(&["PING"], "").trim() != "PONG" {
            assert!(start.elapsed() < Duration::from_secs(10), "the server does not answer");
        }
        Some(server)
    }

    /// What the server answers to a command whose last argument comes from `input`, if there is one.
    fn cli(&self, args: &[&str], input: &str) -> String {
        let mut cli = Command::new("redis-cli");
        cli.args(["-s", "s"]).current_dir(&self.dir).stdin(Stdio::piped());
        if !input.is_empty() {
            cli.arg("-x");
        }
        let mut process = cli
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("redis-cli comes with the server");
        process.stdin.take().expect("piped").write_all(input.as_bytes()).expect("redis-cli reads its input");
        let output = process.wait_with_output().expect("redis-cli ends");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn load(&self, library: &Library) {
        // Libraries share function names, and a server has each name once.
        self.cli(&["FUNCTION", "FLUSH"], "");
        let answer = self.cli(&["FUNCTION", "LOAD"], library.source());
        assert_eq!(answer.trim(), library.name(), "{}", library.version());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Best effort: the test is over.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn every_mutant_of_every_library_loads_on_a_real_server() {
    let Some(server) = Server::start() else {
        eprintln!("no redis-server here: nothing was loaded");
        return;
    };
    let minimal = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/libraries/minimal.lua");
    for library in [Library::published(), Library::from_file(minimal).unwrap()] {
        server.load(&library);
        let version = server.cli(&["FCALL", "ff_version", "0"], "");
        for mutant in Mutant::all() {
            server.load(&library.mutant(&mutant));
            assert_eq!(server.cli(&["FCALL", "ff_version", "0"], ""), version, "{}", mutant.name);
        }
    }
}
