//! Errors of control requests: a kind and a sentence.

use std::fmt;

/// The kinds of refusals, to branch on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The request itself is wrong.
    Invalid,
    /// This caller is not served.
    Forbidden,
    /// What it names does not exist.
    Missing,
    /// What it names has changed, or gone, meanwhile.
    Changed,
    /// The store does not allow it.
    Denied,
    /// The store has failed the request.
    Failed,
    /// It was switched off, or cannot be done here.
    Off,
    /// There is no room for it.
    NoRoom,
    /// The answer does not fit through this door.
    TooLong,
    /// Too much is under way already.
    Busy,
}

/// Why a request was not done, in a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What kind of refusal it is.
    pub kind: Kind,
    /// What is wrong, and what would be right.
    pub sentence: String,
}

impl Refusal {
    /// A refusal of this kind.
    pub fn new(kind: Kind, sentence: impl Into<String>) -> Self {
        Refusal { kind, sentence: sentence.into() }
    }

    /// The request itself is wrong.
    pub fn invalid(sentence: impl Into<String>) -> Self {
        Refusal::new(Kind::Invalid, sentence)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Refusal {}
