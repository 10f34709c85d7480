//! Whether a plan did again what it did: a run that cannot be repeated shows nothing.

use crate::trace::Trace;

/// Two runs of one plan differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "two runs of the same plan differ from event {at} on. A library can bring that about: `pairs` of a table whose keys are \
     tables or functions goes by their addresses. If this one does nothing of the kind, please report this with the token or \
     plan, and the library"
)]
pub struct NotTheSame {
    /// The first event that differs, by its place.
    pub at: usize,
}

/// Compares two runs of one plan.
///
/// # Errors
/// [`NotTheSame`].
pub fn same(one: &Trace, other: &Trace) -> Result<(), NotTheSame> {
    let differs = one.events.iter().zip(&other.events).position(|(a, b)| a != b);
    // Where all that both have is equal, the shorter one ends, or what is beside the events differs.
    let at = differs.or_else(|| (one != other).then_some(one.events.len().min(other.events.len())));
    at.map_or(Ok(()), |at| Err(NotTheSame { at }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drive::{self, Subject},
        library::Library,
        plan::token::Token,
        trace::FaultFate,
    };

    #[test]
    fn two_runs_are_the_same_when_all_of_them_is() {
        let subject = Subject::new(Library::published()).unwrap();
        let one = drive::run(&Token::new("calm", 1).unwrap().plan(), &subject).unwrap();
        assert_eq!(same(&one, &one.clone()), Ok(()));
        let mut late = one.clone();
        late.events[3].head.at.0 += 1;
        late.events[9].head.at.0 += 1;
        assert_eq!(same(&one, &late), Err(NotTheSame { at: 3 }));
        let mut short = one.clone();
        let last = short.events.len() - 1;
        short.events.pop();
        assert_eq!(same(&one, &short), Err(NotTheSame { at: last }));
        assert_eq!(same(&short, &one), Err(NotTheSame { at: last }));
        let mut other_fate = one.clone();
        other_fate.faults.push(FaultFate::Never);
        assert_eq!(same(&one, &other_fate), Err(NotTheSame { at: last + 1 }));
    }
}
