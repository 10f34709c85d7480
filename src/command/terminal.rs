//! What is written to the terminal: progress, text, and words on standard error.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::Path,
    process,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context;
use grantsim::{
    hunt::{Hunt, Progress, Until},
    shrink,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::values::told;

/// A progress bar on a terminal, a line now and then elsewhere. It has no colours.
pub(super) struct Bar {
    bar: Option<ProgressBar>,
    until: Until,
    said: Cell<u64>,
}

impl Bar {
    const SAY_EVERY: Duration = Duration::from_secs(10);

    pub(super) fn new(hunt: &Hunt) -> Self {
        Self::on(io::stderr().is_terminal().then(ProgressDrawTarget::stderr), hunt)
    }

    fn on(terminal: Option<ProgressDrawTarget>, hunt: &Hunt) -> Self {
        let (length, template) = match (hunt.until, hunt.seeds()) {
            (Until::Elapsed(limit), _) => (millis(limit), "{wide_bar} {msg}"),
            (Until::Seeds(_), seeds) => (seeds.unwrap_or(0), "{wide_bar} {msg}, {eta} left"),
            (Until::Saturated(quiet), _) => (quiet, "{wide_bar} {msg}"),
        };
        let style = ProgressStyle::with_template(template).expect("a template");
        let bar =
            terminal.map(|target| ProgressBar::with_draw_target(Some(length), target).with_style(style));
        // The first seed of a slow library may take a while.
        if let Some(bar) = &bar {
            bar.tick();
        }
        Self { bar, until: hunt.until, said: Cell::new(0) }
    }

    pub(super) fn show(&self, progress: &Progress<'_>) {
        let (seeds, elapsed) = (progress.seeds(), progress.elapsed());
        if let (Some(bar), Until::Saturated(quiet)) = (&self.bar, self.until) {
            bar.set_length(progress.saturated_after(quiet));
        }
        let line = self.line(seeds, progress.violations(), elapsed);
        let Some(bar) = &self.bar else {
            let due = elapsed.as_secs() / Self::SAY_EVERY.as_secs();
            if due > self.said.replace(due) {
                say(&line);
            }
            return;
        };
        bar.set_message(line);
        bar.set_position(if let Until::Elapsed(_) = self.until { millis(elapsed) } else { seeds });
    }

    /// How far the hunt is, in 50 columns: a terminal may be narrow.
    fn line(&self, seeds: u64, violations: usize, elapsed: Duration) -> String {
        let violations = match violations {
            0 => "nothing new".to_owned(),
            1 => "1 violation".to_owned(),
            n => format!("{n} violations"),
        };
        match self.until {
            Until::Elapsed(limit) => {
                format!("{} of {}, {seeds} seeds, {violations}", told(elapsed.min(limit)), told(limit))
            }
            Until::Seeds(_) | Until::Saturated(_) => match self.bar.as_ref().and_then(ProgressBar::length) {
                Some(length) => format!("{seeds}/{length} seeds, {violations}"),
                None => format!("{seeds} seeds, {violations}"),
            },
        }
    }

    /// Says something above the bar.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }

    pub(super) fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How far a shrink is.
#[derive(Clone, Copy)]
pub(super) struct Step {
    phase: shrink::Phase,
    runs: u64,
    size: shrink::Size,
}

impl From<&shrink::Progress<'_>> for Step {
    fn from(progress: &shrink::Progress<'_>) -> Self {
        Self { phase: progress.phase, runs: progress.runs, size: progress.size }
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
        self.step(progress.into());
    }

    pub(super) fn step(&self, Step { phase, runs, size }: Step) {
        let line = format!("{phase}: {runs} runs, {size}");
        if let Some(bar) = &self.bar {
            bar.set_message(line);
            bar.tick();
            return;
        }
        let due = Some((phase, self.started.elapsed().as_secs() / Bar::SAY_EVERY.as_secs()));
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

/// How far something is: a line that changes on a terminal, a line now and then elsewhere.
pub(super) struct Line {
    bar: Option<ProgressBar>,
    started: Instant,
    said: AtomicU64,
}

impl Line {
    pub(super) fn new() -> Self {
        let bar = io::stderr().is_terminal().then(ProgressBar::new_spinner);
        Self { bar, started: Instant::now(), said: AtomicU64::new(0) }
    }

    pub(super) fn show(&self, line: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(line);
            bar.tick();
            return;
        }
        let due = self.started.elapsed().as_secs() / Bar::SAY_EVERY.as_secs();
        if due > self.said.swap(due, Ordering::Relaxed) {
            say(&line);
        }
    }

    pub(super) fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What a second Ctrl-C ends with: 128 and the number of the signal, as shells say it.
const INTERRUPTED_TWICE: i32 = 130;

/// Asks to stop at the first Ctrl-C, SIGTERM or SIGHUP; the second ends the process at once.
pub(super) fn listen(ask: impl Fn() + Send + 'static) -> anyhow::Result<()> {
    let is_asked = AtomicBool::new(false);
    let on_signal = move || {
        if is_asked.swap(true, Ordering::Relaxed) {
            process::exit(INTERRUPTED_TWICE);
        }
        ask();
    };
    ctrlc::set_handler(on_signal).context("cannot listen for Ctrl-C")
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

#[cfg(test)]
mod tests {
    use grantsim::{drive::Subject, library::Library, plan::token::Token};
    use indicatif::InMemoryTerm;

    use super::*;

    fn hunt(until: Until) -> Hunt {
        Hunt::new(
            Subject::new(Library::published()).expect("it loads"),
            Token::new("calm", 0).expect("a profile"),
            until,
        )
    }

    /// What a terminal of 60 columns shows before the first seed, and with this line.
    fn on_a_terminal(until: Until, line: impl FnOnce(&Bar) -> String) -> [String; 2] {
        let terminal = InMemoryTerm::new(4, 60);
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let bar = Bar::on(Some(target), &hunt(until));
        let before = terminal.contents();
        let line = line(&bar);
        let shown = bar.bar.as_ref().expect("there is a terminal");
        shown.set_message(line);
        shown.force_draw();
        [before, terminal.contents()]
    }

    #[test]
    fn the_bar_is_there_before_the_first_seed_ends_and_fits_60_columns() {
        let hour = Duration::from_secs(3_600);
        for until in [Until::Seeds(1_000_000), Until::Elapsed(hour * 10)] {
            let [before, after] =
                on_a_terminal(until, |bar| bar.line(987_654, 17, hour * 9 + Duration::from_secs(3_599)));
            assert!(!before.is_empty(), "{until:?}");
            assert_eq!(after.lines().count(), 1, "{after}");
            assert!(after.contains("987654") && after.contains("17 violations"), "{after}");
            assert!(!after.contains('\u{1b}'), "{after:?}");
        }
    }

    #[test]
    fn a_hunt_that_has_a_time_shows_how_much_of_it_is_over() {
        let bar = Bar::on(None, &hunt(Until::Elapsed(Duration::from_secs(600))));
        assert_eq!(bar.line(12, 0, Duration::from_millis(61_500)), "1m 1s of 10m, 12 seeds, nothing new");
        assert_eq!(bar.line(12, 1, Duration::from_secs(700)), "10m of 10m, 12 seeds, 1 violation");
        let bar = Bar::on(None, &hunt(Until::Seeds(500)));
        assert_eq!(bar.line(12, 2, Duration::ZERO), "12 seeds, 2 violations");
    }
}
