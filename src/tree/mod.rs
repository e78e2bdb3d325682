//! Names, inodes, children and their freshness. No I/O, no async.

/// What becomes of keys that are no safe names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OddKeys {
    /// They are left out.
    #[default]
    Hide,
    /// They get an escaped name.
    Escape,
}
