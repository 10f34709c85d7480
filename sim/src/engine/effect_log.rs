//! The last effects, for `SIM EFFECTS`: kept only by an engine whose host asked for it.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Effects;

/// How many effects are kept, and how much they may weigh together. The newest is kept whatever it weighs.
const MOST: usize = 10_000;
const MOST_BYTES: usize = 16 << 20;
/// How long an argument may be that is kept whole; of a longer one its beginning is, and how much more there was.
const LONGEST: usize = 1 << 20;

/// The newest effects of an engine, oldest first.
#[derive(Clone, Debug, Default)]
pub struct EffectLog {
    effects: VecDeque<Vec<Bytes>>,
    bytes: usize,
}

impl EffectLog {
    /// Notes the effects from the `first` on.
    pub fn note(&mut self, effects: &Effects, first: usize) {
        for effect in effects.iter().skip(first) {
            let args: Vec<Bytes> = effect.args().map(kept).collect();
            self.bytes += weight(&args);
            self.effects.push_back(args);
        }
        while self.effects.len() > 1 && (self.effects.len() > MOST || self.bytes > MOST_BYTES) {
            self.bytes -= self.effects.pop_front().map_or(0, |oldest| weight(&oldest));
        }
    }

    /// The last `count` effects, or as many as there are, oldest first.
    pub fn last(&self, count: usize) -> impl Iterator<Item = &[Bytes]> {
        let skipped = self.effects.len().saturating_sub(count);
        self.effects.iter().skip(skipped).map(Vec::as_slice)
    }
}

/// What is kept of an argument.
fn kept(arg: &[u8]) -> Bytes {
    match arg.split_at_checked(LONGEST) {
        Some((beginning, rest)) if !rest.is_empty() => {
            Bytes::from([beginning, format!("... ({} more bytes)", rest.len()).as_bytes()].concat())
        }
        _ => Bytes::copy_from_slice(arg),
    }
}

fn weight(args: &[Bytes]) -> usize {
    args.iter().map(|arg| arg.len() + size_of::<Bytes>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_effects_make_room() {
        let mut log = EffectLog::default();
        let mut effects = Effects::default();
        for n in 0..MOST + 5 {
            effects.push(&[b"SET", b"k", n.to_string().as_bytes()]);
        }
        log.note(&effects, 2);
        assert_eq!(log.last(usize::MAX).count(), MOST);
        assert_eq!(log.last(usize::MAX).next().unwrap()[2], "5");
        assert_eq!(log.last(1).next().unwrap()[2], (MOST + 4).to_string());
    }

    #[test]
    fn one_effect_that_outweighs_the_limit_is_kept_alone() {
        let mut log = EffectLog::default();
        let mut effects = Effects::default();
        effects.push(&[b"SET", b"small", b"1"]);
        let part = vec![0; LONGEST];
        effects.extend([&b"RPUSH"[..], b"large"].into_iter().chain([&part[..]; 17]));
        log.note(&effects, 0);
        assert_eq!(log.last(9).map(|args| &args[1][..]).collect::<Vec<_>>(), [b"large"]);
    }

    #[test]
    fn of_a_long_argument_the_beginning_is_kept() {
        let mut log = EffectLog::default();
        let mut effects = Effects::default();
        effects.push(&[b"SET", b"k", &vec![b'x'; 100 << 20]]);
        log.note(&effects, 0);
        let kept = &log.last(1).next().unwrap()[2];
        assert!(kept.ends_with(b"x... (103809024 more bytes)"), "{}", kept.len());
    }
}
