//! The scripts that `EVALSHA` knows.
//!
//! What `SCRIPT LOAD` brought stays until `SCRIPT FLUSH`. Of what `EVAL` brought, Valkey 8 keeps the 500 that were used
//! last (measured on 8.0.1); Redis 7.0 keeps all.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use bytes::Bytes;

use super::Dialect;

/// A script's SHA-1, in hexadecimal.
type Hash = [u8; 40];

/// How many scripts that were only evaluated are kept.
const EVALUATED: usize = 500;

/// The texts of scripts by their SHA-1. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ScriptCache(Rc<Scripts>);

#[derive(Clone, Debug, Default)]
struct Scripts {
    texts: BTreeMap<Hash, Bytes>,
    /// Those that may be forgotten, the most recently used last.
    evaluated: VecDeque<Hash>,
    evicted: u64,
}

impl ScriptCache {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.texts.len()
    }

    /// How many had to go.
    pub fn evicted(&self) -> u64 {
        self.0.evicted
    }

    /// The text of a script.
    pub fn get(&self, hash: &Hash) -> Option<&Bytes> {
        self.0.texts.get(hash)
    }

    /// Takes a script in for good.
    pub fn load(&mut self, hash: &Hash, text: &Bytes) {
        if self.get(hash).is_none() || self.0.evaluated.contains(hash) {
            let scripts = Rc::make_mut(&mut self.0);
            scripts.evaluated.retain(|evaluated| evaluated != hash);
            scripts.texts.insert(*hash, text.clone());
        }
    }

    /// Takes in a script that is about to run, or notes that it is used again; another may have to go.
    pub fn evaluate(&mut self, hash: &Hash, text: &Bytes, dialect: Dialect) {
        if self.get(hash).is_some() {
            let position = self.0.evaluated.iter().rposition(|evaluated| evaluated == hash);
            if let Some(position) = position
                && position + 1 < self.0.evaluated.len()
            {
                let evaluated = &mut Rc::make_mut(&mut self.0).evaluated;
                evaluated.remove(position);
                evaluated.push_back(*hash);
            }
            return;
        }
        let scripts = Rc::make_mut(&mut self.0);
        scripts.texts.insert(*hash, text.clone());
        if dialect == Dialect::Valkey8 {
            scripts.evaluated.push_back(*hash);
            if scripts.evaluated.len() > EVALUATED
                && let Some(oldest) = scripts.evaluated.pop_front()
            {
                scripts.texts.remove(&oldest);
                scripts.evicted += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: usize) -> Hash {
        let mut hash = [b'0'; 40];
        hash[..3].copy_from_slice(format!("{number:03}").as_bytes());
        hash
    }

    #[test]
    fn five_hundred_evaluated_scripts_are_kept_and_all_loaded_ones() {
        let (mut cache, text) = (ScriptCache::default(), Bytes::new());
        cache.load(&numbered(900), &text);
        for number in 0..500 {
            cache.evaluate(&numbered(number), &text, Dialect::Valkey8);
        }
        cache.evaluate(&numbered(0), &text, Dialect::Valkey8);
        cache.load(&numbered(1), &text);
        for number in 500..502 {
            cache.evaluate(&numbered(number), &text, Dialect::Valkey8);
        }
        let known: Vec<_> = (0..5).map(|number| cache.get(&numbered(number)).is_some()).collect();
        assert_eq!(known, [true, true, false, true, true]);
        assert!(cache.get(&numbered(900)).is_some());
        assert_eq!((cache.count(), cache.evicted()), (502, 1));
    }

    #[test]
    fn redis_keeps_every_script() {
        let mut cache = ScriptCache::default();
        for number in 0..800 {
            cache.evaluate(&numbered(number), &Bytes::new(), Dialect::Redis7);
        }
        assert!(cache.get(&numbered(0)).is_some());
    }
}
