//! The errno that a program gets for an error of the store or for a refused control request.

use std::fmt;

use crate::control;
use crate::store::{Error, ErrorKind};

/// An error number of the system.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        impl Errno {
            $($(#[$doc])* pub const $name: Errno = Errno(libc::$name);)*
        }
        impl fmt::Debug for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Errno::$name => f.write_str(stringify!($name)),)*
                    Errno(other) => write!(f, "errno {other}"),
                }
            }
        }
    };
}

errnos! {
    /// There is no such file.
    ENOENT,
    /// Not allowed, or archived.
    EACCES,
    /// The object changed under an open descriptor.
    ESTALE,
    /// The file system is read-only.
    EROFS,
    /// The store failed for good.
    EIO,
    /// No such extended attribute.
    ENODATA,
    /// The ioctl is not known.
    ENOTTY,
    /// Name over 255 bytes.
    ENAMETOOLONG,
    /// There are more names than memory holds.
    ENOMEM,
    /// It is not a directory.
    ENOTDIR,
    /// It is a directory.
    EISDIR,
    /// The handle is not known.
    EBADF,
    /// An argument is not valid.
    EINVAL,
    /// Offset past the end.
    ENXIO,
    /// The buffer is too small.
    ERANGE,
    /// Not allowed for this caller.
    EPERM,
    /// It is not supported here.
    ENOSYS,
    /// Not supported for this object.
    EOPNOTSUPP,
    /// No room for it.
    ENOSPC,
    /// Too long for the way it goes.
    EMSGSIZE,
    /// It is under way already.
    EBUSY,
    /// The waiting thread received a signal to end.
    EINTR,
}

impl From<control::Kind> for Errno {
    fn from(kind: control::Kind) -> Self {
        match kind {
            control::Kind::Invalid => Errno::EINVAL,
            control::Kind::Forbidden => Errno::EPERM,
            control::Kind::Missing => Errno::ENOENT,
            control::Kind::Changed => Errno::ESTALE,
            control::Kind::Denied => Errno::EACCES,
            control::Kind::Failed => Errno::EIO,
            control::Kind::Off => Errno::EOPNOTSUPP,
            control::Kind::NoRoom => Errno::ENOSPC,
            control::Kind::TooLong => Errno::EMSGSIZE,
            control::Kind::Busy => Errno::EBUSY,
        }
    }
}

impl From<&Error> for Errno {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NoSuchBucket => Errno::ENOENT,
            ErrorKind::AccessDenied | ErrorKind::Archived | ErrorKind::Credentials => Errno::EACCES,
            ErrorKind::Changed => Errno::ESTALE,
            ErrorKind::RangeNotSatisfiable
            | ErrorKind::WrongRegion
            | ErrorKind::Invalid
            | ErrorKind::Throttled
            | ErrorKind::ClockSkew
            | ErrorKind::Server
            | ErrorKind::Network
            | ErrorKind::Timeout
            | ErrorKind::Protocol
            | ErrorKind::Corrupt
            | ErrorKind::Unsupported
            | ErrorKind::TooLarge
            | ErrorKind::Conflict => Errno::EIO,
        }
    }
}
