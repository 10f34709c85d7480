//! What the process says with its exit code, and which code an error has. What a hunt ends with is decided in
//! [`verdict`](super::verdict).

use std::error::Error;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{NotTheSame, ResumeError};
use crate::{
    drive::RunError,
    plan::{file::PlanFileError, token::TokenError},
    shrink::ShrinkError,
    trace::file::ReadError,
};

/// What the process says with its exit code. The README lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All held.
    AllHeld = 0,
    /// Bad usage, or an input that cannot be read, does not load or does not return.
    BadInput = 2,
    /// A safety property broke; of a comparison: something differs that is not accepted.
    Broken = 10,
    /// What must happen in the end did not.
    Stuck = 11,
    /// Two runs of one plan differed.
    NotDeterministic = 12,
    /// Nothing was seen, or a required state was never reached.
    NotReached = 13,
    /// A token, a plan or a trace of another version.
    Stale = 14,
    /// The harness itself failed.
    Harness = 15,
}

impl Exit {
    /// All of them.
    const ALL: [Exit; 8] = [
        Exit::AllHeld,
        Exit::BadInput,
        Exit::Broken,
        Exit::Stuck,
        Exit::NotDeterministic,
        Exit::NotReached,
        Exit::Stale,
        Exit::Harness,
    ];

    /// The exit code.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Which kind of wrong an error is, seen from its causes: the error itself, its source, and so on.
    ///
    /// ```
    /// use grantsim::{drive::RunError, hunt::Exit};
    /// let error = RunError::Harness("index out of bounds".into());
    /// assert_eq!(Exit::of_error([&error as _]), Exit::Harness);
    /// ```
    pub fn of_error<'e>(causes: impl IntoIterator<Item = &'e (dyn Error + 'static)>) -> Self {
        causes.into_iter().find_map(of_cause).unwrap_or(Self::BadInput)
    }
}

impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

impl<'de> Deserialize<'de> for Exit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = u8::deserialize(deserializer)?;
        let known = Exit::ALL.into_iter().find(|exit| exit.code() == code);
        known.ok_or_else(|| D::Error::custom(format!("{code} is no exit code of grantsim")))
    }
}

fn of_cause(cause: &(dyn Error + 'static)) -> Option<Exit> {
    let is_stale = matches!(cause.downcast_ref(), Some(TokenError::Stale { .. }))
        || matches!(cause.downcast_ref(), Some(PlanFileError::Schema { .. }))
        || matches!(cause.downcast_ref(), Some(ReadError::Schema(_)))
        || matches!(cause.downcast_ref(), Some(ResumeError::Build { .. }));
    if is_stale {
        return Some(Exit::Stale);
    }
    let is_not_again = matches!(cause.downcast_ref(), Some(ShrinkError::NotAgain { .. }));
    if is_not_again || cause.is::<NotTheSame>() {
        return Some(Exit::NotDeterministic);
    }
    matches!(cause.downcast_ref(), Some(RunError::Harness(_))).then_some(Exit::Harness)
}

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use super::*;
    use crate::{drive, drive::Subject, library::Library, plan::token::Token, trace::Moment};

    /// What the command line makes of an error that it says something more about.
    fn exit(error: impl Error + Send + Sync + 'static) -> Exit {
        let told = anyhow::Error::new(error).context("token g1-calm-1-00000000");
        Exit::of_error(told.chain())
    }

    #[test]
    fn every_kind_of_error_has_its_code_however_much_is_said_about_it() {
        let stale = TokenError::Stale { token: "t".into(), profile: "calm", now: "n".into() };
        assert_eq!(exit(stale), Exit::Stale);
        assert_eq!(exit(PlanFileError::Schema { path: "p".into(), found: 99 }), Exit::Stale);
        assert_eq!(exit(ReadError::Schema(1)), Exit::Stale);
        assert_eq!(exit(ResumeError::Build { theirs: "0.0.9".into() }), Exit::Stale);
        let stale = TokenError::Stale { token: "t".into(), profile: "calm", now: "n".into() };
        assert_eq!(exit(ResumeError::Token(stale)), Exit::Stale);
        assert_eq!(exit(NotTheSame { at: 7 }), Exit::NotDeterministic);
        let fingerprint = "fence/ff_renew_lease/OK/stale-lease".parse().unwrap();
        let plan = Box::new(Token::new("calm", 1).unwrap().plan());
        assert_eq!(exit(ShrinkError::NotAgain { fingerprint, plan }), Exit::NotDeterministic);
        assert_eq!(exit(RunError::Harness("a panic".into())), Exit::Harness);
        assert_eq!(exit(TokenError::Malformed("t".into())), Exit::BadInput);
        assert_eq!(exit(ReadError::CutShort), Exit::BadInput);
        assert_eq!(exit(io::Error::other("no space left")), Exit::BadInput);
        assert_eq!(exit(Library::from_file(Path::new("no/such.lua")).unwrap_err()), Exit::BadInput);
    }

    #[test]
    fn an_exit_code_is_a_number_in_json_and_no_other_number_is_one() {
        for exit in Exit::ALL {
            let json = serde_json::to_string(&exit).unwrap();
            assert_eq!(json, exit.code().to_string());
            assert_eq!(serde_json::from_str::<Exit>(&json).unwrap(), exit);
        }
        let error = serde_json::from_str::<Exit>("7").unwrap_err();
        assert!(error.to_string().contains("7 is no exit code"), "{error}");
    }

    #[test]
    fn a_panic_in_a_run_is_a_fault_of_the_harness() {
        struct Panics;
        impl drive::Watch for Panics {
            fn see(&mut self, _: &Moment<'_>) {
                panic!("index out of bounds");
            }
        }
        let subject = Subject::new(Library::published()).unwrap();
        let plan = Token::new("calm", 1).unwrap().plan();
        let error = drive::watch(&plan, &subject, Panics).err().unwrap();
        assert!(error.to_string().contains("the harness itself failed: index out of bounds"), "{error}");
        assert_eq!(exit(error).code(), 15);
    }
}
