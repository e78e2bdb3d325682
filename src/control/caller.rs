//! Which caller may make which request.
//!
//! [`may`] is the one place that decides it, from what is asked, the way it came, the user, and the namespaces of the
//! process that asks. The manual's table in `docs/manual/control.md` is this function in words.

use super::{Kind, Refusal, Request};

/// What the kernel calls a user who has no number in the daemon's user namespace.
const UNMAPPED: u32 = u32::MAX;

/// The same, where the kernel must give a number that fits into every field.
const OVERFLOW: u32 = 65534;

/// How a request came, as far as it matters for what it may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// On the control socket, which has mode 0600 and lies in the daemon's own file system.
    Socket,
    /// Through the mount (the ioctl or an extended attribute), by a process in the daemon's own user and mount
    /// namespaces.
    Mount,
    /// Through the mount, by a process in another user or mount namespace, or by one whose namespaces the daemon cannot
    /// see. Root of an ordinary container is one: its user number is 0, and the mount may be bound into it.
    ForeignMount,
}

/// The sender of a request: a user, by the number that the kernel gives, and the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker {
    /// The user's number in the daemon's user namespace.
    pub uid: u32,
    /// How the request came.
    pub way: Way,
}

/// What a request does, as far as it matters for who may ask it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It tells what is known.
    Look,
    /// It fetches what a reader of the mount could fetch by reading.
    Fetch,
    /// It changes what the daemon does or keeps for all its readers.
    Steer,
    /// It writes to a bucket with the daemon's key.
    Write,
}

impl Request {
    /// What this request does.
    pub fn effect(&self) -> Effect {
        match self {
            Request::CopyStatus(_)
            | Request::CopyList
            | Request::PrefetchStatus(_)
            | Request::PrefetchList
            | Request::Stat(_)
            | Request::Stats(_)
            | Request::Metrics
            | Request::Health => Effect::Look,
            Request::Prefetch(_) | Request::Refresh(_) => Effect::Fetch,
            Request::PrefetchCancel(_) | Request::Pin(_) | Request::Drop(_) | Request::Set(_) => Effect::Steer,
            Request::Copy(_) | Request::CopyCancel(_) => Effect::Write,
        }
    }
}

/// Whether `asker` may have an effect on a mount of the user `owner`.
///
/// The owner and root are served; another user is refused, whether or not it may read the mount. Users of other user
/// namespaces are known by their number in the daemon's; those who have none there are refused, also where the owner
/// has the number that the kernel shows for them. What reaches further than reading is refused to processes in other
/// namespaces: there, user number 0 is not the machine's root.
pub fn may(asker: Asker, owner: u32, effect: Effect) -> Result<(), Refusal> {
    let forbidden = |sentence: String| Err(Refusal::new(Kind::Forbidden, sentence));
    match asker.uid {
        0 => {}
        UNMAPPED | OVERFLOW => {
            return forbidden(
                "this user is unknown in the user namespace of the daemon: only the owner of the mount and root may \
                 control it"
                    .to_owned(),
            );
        }
        uid if uid == owner => {}
        uid => {
            return forbidden(format!(
                "user {uid} may not control this mount: only root and its owner, user {owner}, may"
            ));
        }
    }
    match (effect, asker.way) {
        (Effect::Look | Effect::Fetch, _) | (_, Way::Socket | Way::Mount) => Ok(()),
        (Effect::Steer | Effect::Write, Way::ForeignMount) => forbidden(
            "this process is in another user or mount namespace than the daemon, or the daemon cannot tell: use the \
             control socket, or run the command in the namespaces of the daemon"
                .to_owned(),
        ),
    }
}
