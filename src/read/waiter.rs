//! Waiting reads that are cancelled: their GETs are cancelled too, unless something else needs them.

use std::sync::Arc;

use super::part::Part;
use crate::base::ByteRange;

/// A read that waits for parts. Dropped while it waits, it gives up those that have brought nothing and that no other
/// read waits for. What brings bytes goes on while the object is open: others may want them.
pub(super) struct Waiter<'a> {
    parts: &'a [Arc<Part>],
    read: ByteRange,
    is_over: bool,
}

impl<'a> Waiter<'a> {
    /// A read that begins to wait for these parts.
    pub(super) fn new(parts: &'a [Arc<Part>], read: ByteRange) -> Self {
        Waiter { parts, read, is_over: false }
    }

    /// The wait has ended by itself.
    pub(super) fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let lacking = self.parts.iter().filter(|part| !part.has(self.read) && part.head().is_empty());
        for part in lacking.filter(|_| !self.is_over) {
            part.drop_out_unless_waited_for();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use crate::read::tests::{Bed, MIB, content};
    use crate::read::{Options, Prefetch};
    use crate::store::layers::{At, Fault};

    const LIMIT: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_read_that_is_given_up_gives_up_its_get_unless_another_waits() {
        let bed = Bed::new(Options { prefetch: Prefetch::Off, ..Options::default() });
        let file = bed.reader.open(bed.object("a", &content(4 * MIB, 1)));
        bed.script([Some(Fault::Silence), Some(Fault::Late(LIMIT * 3))]);
        assert!(timeout(LIMIT, file.read(MIB, 4096)).await.is_err());
        // The task that fetches is told to end, and does when it has its turn.
        sleep(Duration::from_millis(1)).await;
        assert!(file.inode.is_empty());
        let (given_up, waits) = tokio::join!(timeout(LIMIT, file.read(MIB, 4096)), file.read(MIB, 4096));
        assert!(given_up.is_err());
        assert_eq!(waits.unwrap().len(), 4096);
        assert_eq!(bed.gets().len(), 1, "the second GET alone reached the store, and served who waited");
    }

    #[tokio::test(start_paused = true)]
    async fn a_get_that_brings_bytes_goes_on() {
        let bed = Bed::new(Options { prefetch: Prefetch::Off, ..Options::default() });
        let file = bed.reader.open(bed.object("a", &content(4 * MIB, 1)));
        bed.script([Some(Fault::Stall(At::Byte(512 << 10)))]);
        assert!(timeout(LIMIT, file.read(0, MIB as usize)).await.is_err());
        assert!(!file.inode.is_empty());
        assert_eq!(file.read(0, 4096).await.unwrap().len(), 4096);
    }
}
