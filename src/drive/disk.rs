//! What the server of a run has written: its append-only file, and which event wrote what.
//!
//! From it a server that was lost comes back, and a replica is promoted: each is a fresh engine to which
//! [`Engine::apply`] does what the file tells. Kept only where a plan may ask for it.

use valkey_sim::{
    durability::{AppendOnlyFile, LoadError},
    engine::{Effects, Engine},
};

use crate::types::{Seq, SimTime};

/// The server's disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    file: AppendOnlyFile,
    /// When each event wrote, in order.
    written: Vec<(SimTime, Seq)>,
}

impl Disk {
    /// An event wrote this.
    pub fn write(&mut self, at: SimTime, event: Seq, effects: &Effects) {
        if !effects.is_empty() {
            self.file.append(at, effects);
            self.written.push((at, event));
        }
    }

    /// What was written after an instant is lost; all of it where there is none. Answers how many events it were.
    pub fn lose_after(&mut self, kept: Option<SimTime>) -> usize {
        let whole = kept.map_or(0, |kept| self.written.partition_point(|(at, _)| *at <= kept));
        let lost = self.written.len() - whole;
        match kept {
            Some(kept) => _ = self.file.truncate(kept),
            None => self.file = AppendOnlyFile::default(),
        }
        self.written.truncate(whole);
        lost
    }

    /// The last event that is in it.
    pub fn last(&self) -> Option<Seq> {
        self.written.last().map(|(_, event)| *event)
    }

    /// Does to an engine what the file tells.
    ///
    /// # Errors
    /// Never, of a file that an engine of the same dialect and library has written.
    pub fn load_into(&self, engine: &mut Engine) -> Result<(), LoadError> {
        self.file.load_into(engine).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_lost_of_both() {
        let mut disk = Disk::default();
        let mut effects = Effects::default();
        disk.write(SimTime(5), 1, &effects);
        effects.push(&[b"SET", b"k", b"v"]);
        for (at, event) in [(10, 2), (20, 4), (30, 7)] {
            disk.write(SimTime(at), event, &effects);
        }
        assert_eq!(disk.clone().lose_after(None), 3);
        assert_eq!((disk.lose_after(Some(SimTime(20))), disk.last()), (1, Some(4)));
        assert_eq!((disk.lose_after(Some(SimTime(9))), disk.last()), (2, None));
    }
}
