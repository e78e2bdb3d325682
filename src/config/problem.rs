//! Failures of a command: one sentence for people, and the exit status.

use std::fmt;

/// The result of anything a command does.
pub type Result<T> = std::result::Result<T, Problem>;

/// What the process ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// 1: the command was understood and could not be done.
    Failure,
    /// 2: the command or an option was not understood.
    Usage,
}

/// One sentence that says what went wrong and what to do, with the exit status that fits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The sentence that is printed.
    pub sentence: String,
    /// What to exit with.
    pub status: Status,
}

impl Problem {
    /// The command was understood and could not be done.
    pub fn failure(sentence: impl Into<String>) -> Self {
        Problem { sentence: sentence.into(), status: Status::Failure }
    }

    /// The command or an option was not understood.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Problem { sentence: sentence.into(), status: Status::Usage }
    }

    /// The exit status as a number.
    pub fn code(&self) -> u8 {
        match self.status {
            Status::Failure => 1,
            Status::Usage => 2,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Problem {}
