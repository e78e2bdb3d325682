//! Why an operation was not done: an errno for the kernel, a kind and a sentence for the sender of a control request.
//!
//! A failure is made once, where it is found, and keeps its sentence on the way. What comes of an error of the store
//! has its one line in the log by then.

use std::borrow::Cow;

use super::Errno;
use crate::control::{Kind, Refusal};
use crate::store::Error;

/// The result of an operation of a wing.
pub(super) type Tried<T> = std::result::Result<T, Failure>;

/// Why an operation was not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    pub(super) errno: Errno,
    kind: Kind,
    sentence: Cow<'static, str>,
}

macro_rules! failures {
    ($($errno:ident: $kind:ident, $sentence:literal;)*) => {
        impl Failure {
            $(pub(super) const $errno: Failure =
                Failure { errno: Errno::$errno, kind: Kind::$kind, sentence: Cow::Borrowed($sentence) };)*
        }
    };
}

failures! {
    ENOENT: Missing, "No such file or directory";
    ESTALE: Changed, "it was changed or removed since it was looked up";
    EROFS: Denied, "the mount is read-only";
    EIO: Failed, "the operation failed; see the log";
    ENODATA: Missing, "the attribute does not exist";
    ENAMETOOLONG: Invalid, "a name is longer than 255 bytes";
    ENOTDIR: Invalid, "Not a directory";
    EISDIR: Invalid, "Is a directory";
    EBADF: Invalid, "the handle is not open";
    EINVAL: Invalid, "an argument is not valid";
    ENXIO: Invalid, "the offset is past the end";
    ERANGE: Invalid, "the buffer is too small";
}

impl Failure {
    /// There are more names than memory holds.
    pub(super) const TOO_LARGE: Failure = Failure {
        errno: Errno::ENOMEM,
        kind: Kind::NoRoom,
        sentence: Cow::Borrowed(
            "the directory has more names than fit in metadata-memory: use a directory further down, or raise \
             metadata-memory",
        ),
    };

    /// The operation failed for good, for this reason.
    pub(super) fn failed(sentence: impl Into<Cow<'static, str>>) -> Failure {
        Failure { errno: Errno::EIO, kind: Kind::Failed, sentence: sentence.into() }
    }

    /// The failure that an error of the store is, without a line in the log.
    pub(super) fn quiet(doing: &'static str, error: &Error) -> Failure {
        Failure { errno: Errno::from(error), kind: kind(error), sentence: format!("{doing}: {error}").into() }
    }

    /// The refusal of a request about `what`.
    pub(super) fn of(self, what: &str) -> Refusal {
        Refusal::new(self.kind, format!("{what}: {}", self.sentence))
    }
}

impl From<Failure> for Errno {
    fn from(failure: Failure) -> Self {
        failure.errno
    }
}

fn kind(error: &Error) -> Kind {
    match Errno::from(error) {
        Errno::ENOENT => Kind::Missing,
        Errno::EACCES => Kind::Denied,
        Errno::ESTALE => Kind::Changed,
        _ => Kind::Failed,
    }
}

/// The failure that an error of the store is, with its line in the log.
pub(super) fn report(doing: &'static str, error: &Error) -> Failure {
    let (failure, key) = (Failure::quiet(doing, error), error.key());
    let errno = failure.errno;
    match errno {
        // Not for operators: programs look for what is not there all the time.
        Errno::ENOENT => tracing::debug!(key, %error, ?errno, "{doing}"),
        Errno::ESTALE => tracing::warn!(key, %error, ?errno, "{doing}: the object has changed"),
        _ => tracing::error!(key, %error, ?errno, "{doing}"),
    }
    failure
}

/// The same for an object that was found before: that it is gone is ESTALE then, as on NFS. ENOENT is for look-ups and
/// opens.
pub(super) fn report_of_version(doing: &'static str, error: &Error) -> Failure {
    match Errno::from(error) {
        Errno::ENOENT => {
            tracing::warn!(key = error.key(), %error, errno = ?Errno::ESTALE, "{doing}: the object is gone");
            Failure { errno: Errno::ESTALE, kind: Kind::Changed, ..Failure::quiet(doing, error) }
        }
        _ => report(doing, error),
    }
}

/// The same for an object that is archived: it is readable once it was restored.
pub(super) fn report_archived(error: &Error) -> Failure {
    let advice = "reading an archived object: restore it first (ossutil restore, RestoreObject), and read it when that \
                  is done";
    tracing::error!(key = error.key(), %error, "{advice}");
    Failure { errno: Errno::EACCES, kind: Kind::Denied, sentence: Cow::Borrowed(advice) }
}
