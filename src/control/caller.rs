//! Who may ask.

use super::{Kind, Refusal};

/// What the kernel calls a user who has no number in the name space of users that is asked from.
const UNMAPPED: u32 = u32::MAX;

/// The same, where the kernel must give a number that fits into every field.
const OVERFLOW: u32 = 65534;

/// Whether a user, by the number that the kernel gives for them, may control a mount of `owner`: the owner and root may,
/// whoever else may read the mount. Users of other name spaces are known by their number in the daemon's; those who
/// have none there are refused, also where the owner has the number that the kernel shows for them.
pub fn may_ask(uid: u32, owner: u32) -> Result<(), Refusal> {
    match uid {
        0 => Ok(()),
        UNMAPPED | OVERFLOW => {
            Err(Refusal::new(Kind::Forbidden, "this user is not known where the daemon runs: only its owner and root"))
        }
        uid if uid == owner => Ok(()),
        uid => Err(Refusal::new(
            Kind::Forbidden,
            format!("user {uid} may not control this mount: only root and its owner, user {owner}, may"),
        )),
    }
}
