//! What is written to the terminal: progress, text, and words on standard error.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use grantsim::{
    hunt::{Hunt, Progress},
    shrink,
};
use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar on a terminal, a line now and then elsewhere.
pub(super) struct Bar {
    bar: Option<ProgressBar>,
    started: Instant,
    said: Cell<u64>,
}

impl Bar {
    const SAY_EVERY: Duration = Duration::from_secs(10);

    pub(super) fn new(hunt: &Hunt) -> Self {
        let bar = io::stderr().is_terminal().then(|| match hunt.seeds() {
            Some(seeds) => ProgressBar::new(seeds).with_style(
                ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {msg}, {eta} left")
                    .expect("a template"),
            ),
            None => ProgressBar::new_spinner(),
        });
        Self { bar, started: Instant::now(), said: Cell::new(0) }
    }

    pub(super) fn show(&self, progress: &Progress<'_>) {
        let violations = match progress.violations() {
            0 => "no new violation".to_owned(),
            1 => "1 new violation".to_owned(),
            n => format!("{n} new violations"),
        };
        if let Some(bar) = &self.bar {
            bar.set_position(progress.seeds());
            bar.set_message(violations);
            return;
        }
        let due = self.started.elapsed().as_secs() / Self::SAY_EVERY.as_secs();
        if due > self.said.replace(due) {
            say(&format!("{} seeds, {violations}", progress.seeds()));
        }
    }

    pub(super) fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What a shrink does: a line that changes on a terminal, a line now and then elsewhere.
pub(super) struct Spinner {
    bar: Option<ProgressBar>,
    said: Cell<Option<(shrink::Phase, u64)>>,
    started: Instant,
}

impl Spinner {
    pub(super) fn new() -> Self {
        let bar = io::stderr().is_terminal().then(ProgressBar::new_spinner);
        Self { bar, said: Cell::new(None), started: Instant::now() }
    }

    pub(super) fn show(&self, progress: &shrink::Progress<'_>) {
        let line = format!("{}: {} runs, {}", progress.phase, progress.runs, progress.size);
        if let Some(bar) = &self.bar {
            bar.set_message(line);
            bar.tick();
            return;
        }
        let due = Some((progress.phase, self.started.elapsed().as_secs() / Bar::SAY_EVERY.as_secs()));
        if due != self.said.replace(due) {
            say(&line);
        }
    }

    pub(super) fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Prints to standard output; that nobody reads it (`| head`) is no failure.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Says something on standard error. Where that cannot be, there is nobody left to tell.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

pub(super) fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(path).with_context(|| format!("cannot write {}", path.display()))?))
}
