//! Work that is there from the start, so much of it at a time.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    thread,
};

/// What is answered of each, in their order, so many at a time.
pub(super) fn of_each<T: Sync, R: Send>(all: &[T], jobs: usize, ask: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (todo, done) = (Mutex::new(all.iter().enumerate()), Mutex::new(BTreeMap::new()));
    let next = || todo.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((place, one)) = next() {
                    let answer = ask(one);
                    done.lock().unwrap_or_else(PoisonError::into_inner).insert(place, answer);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}
