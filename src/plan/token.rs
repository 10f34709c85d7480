//! Tokens: a plan in one line, for as long as the generator stays the same.
//!
//! `g1-<profile>-<seed in hex>-<generator hash>`. The hash is that of the plans which a few fixed seeds produce, so
//! it moves when the generator's output does, and only then; a token from another generator is refused.

use std::{fmt, str::FromStr};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::{
    Plan,
    profile::{self, Profile, UnknownProfile},
};
use crate::types::digest::sha256_hex;

/// The seeds whose plans the generator hash is made of.
const PROBES: std::ops::Range<u64> = 0..8;

/// Names a generated plan.
///
/// ```
/// use grantsim::plan::token::Token;
/// let token = Token::new("calm", 0x2a)?;
/// let again: Token = token.to_string().parse()?;
/// assert_eq!(token.plan(), again.plan());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    profile: &'static str,
    seed: u64,
    generator: String,
}

/// A token that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token.
    #[error(
        "{0:?} is neither a file nor a token; a token looks like g1-swarm-2a-0123abcd, and every failure prints one"
    )]
    Malformed(String),
    /// Its profile does not exist.
    #[error(transparent)]
    Profile(#[from] UnknownProfile),
    /// Another generator made it.
    #[error(
        "{token} was made by another generator ({profile} is at {now} in this build): check out the build that printed \
         it, or use the plan file if one was saved"
    )]
    Stale {
        /// The token.
        token: String,
        /// Its profile.
        profile: &'static str,
        /// The generator hash of this build.
        now: String,
    },
}

impl Token {
    /// The token of a profile and a seed in this build.
    ///
    /// # Errors
    /// [`UnknownProfile`].
    pub fn new(profile: &str, seed: u64) -> Result<Self, UnknownProfile> {
        let profile = profile::find(profile)?;
        Ok(Self { profile: profile.name, seed, generator: generator_hash(profile) })
    }

    /// The same profile with another seed.
    pub fn with_seed(&self, seed: u64) -> Self {
        Self { seed, ..self.clone() }
    }

    /// The profile's name.
    pub fn profile(&self) -> &'static str {
        self.profile
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The plan it names.
    pub fn plan(&self) -> Plan {
        let profile = profile::find(self.profile).expect("a token's profile was looked up when it was made");
        generate(profile, self.seed)
    }
}

fn generate(profile: &Profile, seed: u64) -> Plan {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (profile.plans)().new_tree(&mut runner).expect("no plan strategy rejects").current()
}

fn generator_hash(profile: &Profile) -> String {
    let plans: Vec<Plan> = PROBES.map(|seed| generate(profile, seed)).collect();
    let text = serde_json::to_vec(&plans).expect("plans are plain data");
    sha256_hex(&text)[..8].to_owned()
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g1-{}-{:x}-{}", self.profile, self.seed, self.generator)
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let malformed = || TokenError::Malformed(text.to_owned());
        let parts: Vec<&str> = text.split('-').collect();
        let ["g1", profile, seed, generator] = parts[..] else { return Err(malformed()) };
        let seed = u64::from_str_radix(seed, 16).map_err(|_| malformed())?;
        if generator.len() != 8 || !generator.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(malformed());
        }
        let token = Self::new(profile, seed)?;
        if token.generator != generator {
            return Err(TokenError::Stale {
                token: text.to_owned(),
                profile: token.profile,
                now: token.generator,
            });
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_another_generator_is_refused_with_the_reason() {
        let stale = "g1-calm-2a-00000000".parse::<Token>();
        assert!(matches!(stale, Err(TokenError::Stale { .. })), "{stale:?}");
    }

    #[test]
    fn what_is_no_token_is_said_to_be_none() {
        for text in ["", "g1", "g1-calm-xyz-00000000", "g2-calm-1-00000000", "g1-calm-1-00", "plan.json"] {
            assert!(matches!(text.parse::<Token>(), Err(TokenError::Malformed(_))), "{text}");
        }
        assert!(matches!("g1-storm-1-00000000".parse::<Token>(), Err(TokenError::Profile(_))));
    }

    #[test]
    fn every_profile_makes_plans_that_can_be_run() {
        for profile in profile::PROFILES {
            for seed in 0..100 {
                let plan = generate(profile, seed);
                assert_eq!(plan.check(), Ok(()), "{} {seed}: {plan:?}", profile.name);
            }
        }
    }
}
