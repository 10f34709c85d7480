//! Random streams, by label.
//!
//! Everything in a run that is left to chance is drawn from a stream of its own, so that one more draw in one place
//! moves no dice in another, and a plan without one worker draws the same for all others.

use sha2::{Digest, Sha256};
use valkey_sim::random::Random;

use super::Plan;

impl Plan {
    /// The random stream with this label: a function of the seed and the label alone, the same on every machine and in
    /// every build.
    ///
    /// The labels in use (a new one gets a row):
    ///
    /// | label | draws |
    /// |---|---|
    /// | `execution e7` | the ids of the execution |
    /// | `flow f1`, `edge f1 e1 e2`, `quota q1`, `budget b1`, `waitpoint e7`, `secret s1` | the id of each |
    /// | `deed d3` | the ids that a deed makes up |
    /// | `worker-3 life 2` | what a process decides in its second life: jitter, ids, the order of its scans |
    /// | `network` | latency and loss; each path between two nodes has a stream of its own, made of this one and their names |
    /// | `valkey` | what the server leaves to chance: `math.random`, `SRANDMEMBER` |
    /// | `runtime` | the order in which ready tasks run |
    ///
    /// ```
    /// # use grantsim::plan::token::Token;
    /// let plan = Token::new("calm", 1)?.plan();
    /// let draw = |label| plan.random(label).next_u64();
    /// assert_eq!(draw("execution e7"), draw("execution e7"));
    /// assert_ne!(draw("execution e7"), draw("execution e8"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn random(&self, label: &str) -> Random {
        stream(self.seed, label)
    }
}

/// The seed has a fixed width, so that no two pairs of seed and label are hashed alike.
fn stream(seed: u64, label: &str) -> Random {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(label).finalize();
    let first: [u8; 8] = digest[..8].try_into().expect("a digest has 32 bytes");
    Random::new(u64::from_le_bytes(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Committed plans replay only as long as these hold. Computed with Python's hashlib and struct, and a splitmix64.
    #[test]
    fn the_streams_are_the_same_in_every_build() {
        let draw = |seed, label| stream(seed, label).next_u64();
        assert_eq!(draw(0, ""), 1_682_718_143_862_937_739);
        assert_eq!(draw(1, "execution e7"), 16_739_835_297_481_640_932);
        assert_eq!(draw(u64::MAX, "worker-3 life 2"), 2_134_889_758_393_479_358);
    }
}
