//! Twins: a second inode of an object that is read through the bridge, for programs that open it with O_DIRECT.
//!
//! While the kernel reads an inode by itself, every open of it must let it do so from the same file, and files of EROFS
//! refuse O_DIRECT. But another inode may have the same bytes, which the kernel then requests from us:
//!
//! 1. An open of the inode with O_DIRECT is answered ESTALE, and it is noted which thread wishes for the twin.
//! 2. The kernel therefore walks the path a second time and looks up each name anew. Looked up by that thread, the name
//!    of the object leads to the twin, which the kernel opens then; looked up by any other, it leads to the inode, so
//!    that these are not kept from the bridge. The name is looked up again by whoever comes next.
//! 3. A thread that opens the inode itself a second time has looked up no name: it has opened `/proc/self/fd/N`, or a
//!    handle as `open_by_handle_at` takes it. The answer is EINVAL, upon which programs try without O_DIRECT.
//!
//! An overlay opens the inode that it has once looked up, and would report ESTALE for as long as the name leads to
//! another one. Its opens have O_NOATIME set, and get EINVAL.
//!
//! Threads outside the PID namespace of the mount have no number, and are not told apart: for some seconds the lookups
//! of all of them lead to the twin, and those that look up no name get ESTALE.
//!
//! Programs see one inode number: lookups of the twin come without attributes that could be kept, and when asked for
//! them we name the object's own.

use std::collections::HashMap;
use std::time::Duration;

use fuser::INodeNo;
use parking_lot::Mutex;

use crate::base::{Clock, Ino};
use crate::fs::Errno;

/// An inode of the kernel: that of an object, or its twin.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Node(u64);

/// Set in the numbers of twins. All others are smaller.
const TWIN: u64 = 1 << 63;

impl Node {
    /// By the number that a request has.
    pub(super) fn of(number: INodeNo) -> Node {
        Node(number.0)
    }

    /// The inode that an object is read through unless a program wishes otherwise.
    pub(super) const fn original(ino: Ino) -> Node {
        Node(ino.0)
    }

    /// The other inode of an object.
    pub(super) fn twin(ino: Ino) -> Node {
        Node(ino.0 | TWIN)
    }

    /// The number of the object in the tree.
    pub(super) fn ino(self) -> Ino {
        Ino(self.0 & !TWIN)
    }

    /// As requests and answers have it.
    pub(super) fn number(self) -> INodeNo {
        INodeNo(self.0)
    }

    /// Whether it is the other inode of its object.
    pub(super) fn is_twin(self) -> bool {
        self.0 & TWIN != 0
    }
}

/// How a program opens a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// The flags of open(2).
    pub(super) flags: i32,
    /// The kernel's number of the thread; 0 for all those that the mount's PID namespace does not hold.
    pub(super) thread: u32,
}

/// How long a wish lasts: many times what the kernel needs to walk a path. What was wished for may never be opened, as
/// where the program was killed, and the name leads to the inode again then. It also lasts where the object is not read
/// through the bridge any more, since that may have begun anew when the walk is over.
const LASTS: Duration = Duration::from_secs(5);

/// Who wishes for which twin, and which twins the kernel knows.
#[derive(Debug)]
pub(super) struct Twins {
    clock: Clock,
    state: Mutex<TwinState>,
}

#[derive(Debug, Default)]
struct TwinState {
    /// Until when, by the clock, a thread wishes for the twin of an object.
    wishes: HashMap<(Ino, u32), Duration>,
    /// The references that the kernel holds to each twin.
    known: HashMap<Ino, u64>,
}

impl Twins {
    pub(super) fn new(clock: Clock) -> Self {
        Twins { clock, state: Mutex::default() }
    }

    /// A thread opens an inode in a way in which only the twin can be. Returns what to answer.
    pub(super) fn wish(&self, ino: Ino, attempt: Attempt) -> Errno {
        if attempt.flags & libc::O_NOATIME != 0 {
            return Errno::EINVAL;
        }
        let (mut state, now, wish) = (self.state.lock(), self.clock.elapsed(), (ino, attempt.thread));
        state.wishes.retain(|_, until| *until > now);
        // Of those without a number, each may be another.
        if attempt.thread != 0 && state.wishes.remove(&wish).is_some() {
            return Errno::EINVAL;
        }
        state.wishes.insert(wish, now + LASTS);
        Errno::ESTALE
    }

    /// A thread has opened an inode of an object, and wishes for no other any more. The wish of threads without a
    /// number may be that of another, and lasts.
    pub(super) fn opened(&self, ino: Ino, attempt: Attempt) {
        if attempt.thread != 0 {
            self.state.lock().wishes.remove(&(ino, attempt.thread));
        }
    }

    /// What a lookup that a thread has made, and that has led to this object, is answered with. The kernel holds a
    /// reference to it then.
    pub(super) fn look_up(&self, parent: Node, ino: Ino, thread: u32) -> Node {
        let mut state = self.state.lock();
        let is_wished = state.wishes.get(&(ino, thread)).is_some_and(|until| *until > self.clock.elapsed());
        // Or by its own number, to which a file handle leads.
        if !is_wished && parent != Node::twin(ino) {
            return Node::original(ino);
        }
        *state.known.entry(ino).or_default() += 1;
        Node::twin(ino)
    }

    /// The kernel has given up so many references.
    pub(super) fn forget(&self, node: Node, count: u64) {
        if !node.is_twin() {
            return;
        }
        let (mut state, ino) = (self.state.lock(), node.ino());
        let left = state.known.get(&ino).copied().unwrap_or_default().saturating_sub(count);
        if left == 0 {
            state.known.remove(&ino)
        } else {
            state.known.insert(ino, left)
        };
    }

    /// The twin of an object, where the kernel knows it.
    pub(super) fn known(&self, ino: Ino) -> Option<Node> {
        self.state.lock().known.contains_key(&ino).then(|| Node::twin(ino))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    const INO: Ino = Ino(9);
    const ROOT: Node = Node(1);
    const TWIN_OF_INO: Node = Node(9 | TWIN);

    fn twins() -> Twins {
        Twins::new(Clock::manual(Timestamp::default()))
    }

    fn direct(thread: u32) -> Attempt {
        Attempt { flags: libc::O_RDONLY | libc::O_DIRECT, thread }
    }

    #[test]
    fn an_object_and_its_twin_have_one_number_of_the_tree() {
        let (original, twin) = (Node::original(INO), Node::twin(INO));
        assert_eq!((original.ino(), twin.ino()), (INO, INO));
        assert_eq!((original.is_twin(), twin.is_twin()), (false, true));
        assert_eq!(Node::of(twin.number()), twin);
        assert_eq!(Node::of(INodeNo(9)), original);
        assert_ne!(original, twin);
    }

    #[test]
    fn a_thread_finds_the_twin_that_it_wishes_for_and_others_do_not() {
        let twins = twins();
        assert_eq!(twins.look_up(ROOT, INO, 1), Node::original(INO));
        assert_eq!(twins.wish(INO, direct(1)), Errno::ESTALE);
        assert_eq!(twins.look_up(ROOT, INO, 1), TWIN_OF_INO);
        assert_eq!(twins.look_up(ROOT, INO, 2), Node::original(INO));
        assert_eq!(twins.look_up(ROOT, Ino(8), 1), Node::original(Ino(8)));
        assert_eq!(twins.look_up(ROOT, INO, 1), TWIN_OF_INO);
        twins.opened(INO, direct(2));
        assert_eq!(twins.look_up(ROOT, INO, 1), TWIN_OF_INO);
        twins.opened(INO, direct(1));
        assert_eq!(twins.look_up(ROOT, INO, 1), Node::original(INO));
        assert_eq!(twins.wish(INO, direct(1)), Errno::ESTALE, "it wishes anew");
        assert_eq!(twins.look_up(TWIN_OF_INO, INO, 3), TWIN_OF_INO, "by a handle");
        assert_eq!(twins.look_up(TWIN_OF_INO, Ino(1), 3), ROOT, "the way up");
    }

    #[test]
    fn a_thread_that_looks_up_no_name_has_no_twin() {
        let twins = twins();
        assert_eq!(twins.wish(INO, direct(1)), Errno::ESTALE);
        assert_eq!(twins.wish(INO, direct(2)), Errno::ESTALE);
        assert_eq!(twins.wish(INO, direct(1)), Errno::EINVAL);
        assert_eq!(twins.look_up(ROOT, INO, 1), Node::original(INO), "it goes without");
        assert_eq!(twins.wish(INO, direct(1)), Errno::ESTALE);
        let overlay = Attempt { flags: libc::O_DIRECT | libc::O_NOATIME, thread: 3 };
        assert_eq!(twins.wish(INO, overlay), Errno::EINVAL);
        assert_eq!(twins.look_up(ROOT, INO, 3), Node::original(INO));
    }

    #[test]
    fn a_wish_that_is_not_followed_ends() {
        let twins = twins();
        twins.wish(INO, direct(1));
        twins.clock.advance(LASTS);
        assert_eq!(twins.look_up(ROOT, INO, 1), Node::original(INO));
        twins.wish(Ino(8), direct(2));
        assert_eq!(twins.state.lock().wishes.len(), 1, "nothing is left of it");
        assert_eq!(twins.wish(INO, direct(1)), Errno::ESTALE);
        twins.opened(INO, Attempt { flags: 0, thread: 1 });
        assert_eq!(twins.look_up(ROOT, INO, 1), Node::original(INO), "it goes without");
    }

    #[test]
    fn threads_without_a_number_are_not_taken_for_one_another() {
        let twins = twins();
        for _ in 0..3 {
            assert_eq!(twins.wish(INO, direct(0)), Errno::ESTALE);
        }
        twins.clock.advance(LASTS / 2);
        assert_eq!(twins.look_up(ROOT, INO, 0), TWIN_OF_INO);
        twins.opened(INO, direct(0));
        assert_eq!(twins.look_up(ROOT, INO, 0), TWIN_OF_INO, "another wishes still");
        assert_eq!(twins.look_up(ROOT, INO, 1), Node::original(INO));
        twins.clock.advance(LASTS / 2);
        assert_eq!(twins.look_up(ROOT, INO, 0), Node::original(INO));
    }

    #[test]
    fn a_twin_is_known_until_the_kernel_has_forgotten_each_reference() {
        let twins = twins();
        twins.wish(INO, direct(1));
        assert_eq!(twins.known(INO), None);
        (0..3).for_each(|_| assert!(twins.look_up(ROOT, INO, 1).is_twin()));
        assert_eq!(twins.known(INO), Some(TWIN_OF_INO));
        twins.forget(Node::original(INO), 9);
        twins.forget(TWIN_OF_INO, 2);
        assert_eq!(twins.known(INO), Some(TWIN_OF_INO));
        twins.forget(TWIN_OF_INO, 1);
        assert_eq!(twins.known(INO), None);
        twins.forget(TWIN_OF_INO, 1);
        assert!(twins.state.lock().known.is_empty());
    }
}
