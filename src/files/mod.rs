//! Opening folders and small files so that nothing is obeyed that another user planted.
//!
//! Commands and daemons of root use names that other users can create, replace or remove at any moment. The dangers,
//! and the protection against each:
//!
//! 1. A link leads to a file that its owner may not touch, and root reads, empties, removes or opens it to all. `walk`
//!    goes from folder to folder by descriptors and follows a link only where root or this user made it.
//! 2. A FIFO keeps the reader waiting, a device has side effects, `/dev/zero` has no end: [`read`] takes regular files,
//!    never waits, and ends at a bound.
//! 3. A folder is swapped between two steps. Every step after the first goes through the descriptor of the [`Folder`],
//!    whose owner and mode were checked on that descriptor.
//! 4. A file that others can write to sets options: [`Facts::distrust`] says why it is not trusted, and what to do.
//! 5. A file is made where others may write: [`replace`] writes a new one under another name and renames it; [`append`]
//!    opens without following; sockets get their mode before they get a name ([`bind`]).
//! 6. A tree of files is served to others, and holds links that lead out of it: [`Beneath`] never leaves it.
//! 7. Another process listens at a socket's path: [`connect`] says which one.
//!
//! Nothing here knows what the content of a file means. A test (`tests/it/house/paths.rs`) finds opens by
//! path in the other rooms.
//!
//! | file | what it owns |
//! |---|---|
//! | `beneath` | a tree of files that is never left |
//! | `landing` | files that are received below a folder |
//! | `folder` | a folder that belongs to one user, held open |
//! | `own` | files that this process makes, also where others may write |
//! | `small` | small files, read whole |
//! | `socket` | unix sockets under a name |
//! | `walk` | the way to a file, descriptor by descriptor |

mod beneath;
mod folder;
mod landing;
mod own;
mod small;
mod socket;
mod walk;

use std::io;

use rustix::fs::{FileType, Stat};

pub use beneath::{Beneath, Entry};
pub use folder::Folder;
pub use landing::{Existing, Landing};
pub use own::{Own, append, can_replace, rename, replace};
pub use small::{Facts, Small, facts, read, read_text};
pub use socket::{Peer, bind, connect};

/// The user whose rights this process has with files.
fn user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// What an inode is, as people call it.
fn kind_name(stat: &Stat) -> &'static str {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "of no known kind",
    }
}

fn is_kind(stat: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}

/// No two inodes that exist at once share it.
fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn refused(sentence: String) -> io::Error {
    io::Error::other(sentence)
}
