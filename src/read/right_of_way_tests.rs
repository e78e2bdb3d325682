//! What programs wait for beside what is fetched in the background, over lines of several widths.

use std::sync::Arc;
use std::time::Duration;

use super::line_tests::{Line, tag};
use super::tests::MIB;
use super::*;
use crate::base::{Clock, Ino, Key, Timestamp};
use crate::metrics::Metrics;
use crate::store::Connections;
use crate::store::layers::Limit;

/// A mount over a line: files of one size, of which `prefetch` fetches some and a program reads another.
struct Bed {
    reader: Arc<Reader>,
    clock: Clock,
    size: u64,
}

impl Bed {
    fn new(size: u64, (all_mb_per_s, one_mb_per_s, connections): (u64, u64, usize), tuning: Tuning) -> Bed {
        let clock = Clock::runtime(Timestamp::from_unix(1_000_000));
        let line = Line::new(size, all_mb_per_s, one_mb_per_s);
        let connections = Connections::fixed(connections);
        let store = Arc::new(Limit::new(line, connections.clone(), clock.clone()));
        let options =
            Options { passthrough: Passthrough::Off, connections, memory_limit: 2048 * MIB, ..Options::default() };
        let reader = Reader::with(store, options, tuning, Arc::new(Metrics::default()), clock.clone());
        Bed { reader, clock, size }
    }

    fn open(&self, number: u64) -> Arc<File> {
        let (ino, key) = (Ino(number + 2), Key::new(format!("file-{number}")));
        let object = Object { ino, key, version: None, etag: tag(), size: self.size, mtime: None, archived: false };
        Arc::new(self.reader.open(object))
    }

    /// Fetches so many files by name. Returns how many seconds that took.
    fn prefetch(&self, files: u64) -> tokio::task::JoinHandle<f64> {
        let (clock, began) = (self.clock.clone(), self.clock.elapsed());
        let files: Vec<_> = (1..=files).map(|number| self.open(number)).collect();
        tokio::spawn(async move {
            futures::future::try_join_all(files.iter().map(|file| file.fetch())).await.unwrap();
            (clock.elapsed() - began).as_secs_f64()
        })
    }

    /// Reads from the start as `cat` does, for so long or to the end. Returns MB/s.
    async fn cat(&self, time: Duration) -> f64 {
        let (file, began) = (self.open(0), self.clock.elapsed());
        let mut at = 0;
        while at < self.size && self.clock.elapsed() - began < time {
            at += file.read(at, 128 << 10).await.unwrap().len() as u64;
        }
        at as f64 / 1e6 / (self.clock.elapsed() - began).as_secs_f64()
    }

    /// Reads 128 KiB at places far from each other. Returns how many milliseconds one takes in the mean.
    async fn look_ups(&self, count: u64) -> f64 {
        let (file, began) = (self.open(0), self.clock.elapsed());
        for index in 0..count {
            let at = (index * 37 % 61) * self.size / 64;
            file.read(at, 128 << 10).await.unwrap();
        }
        (self.clock.elapsed() - began).as_secs_f64() * 1000.0 / count as f64
    }
}

const LONG: Duration = Duration::from_secs(10);

/// What a `cat` and a prefetch of two files get of a line, each alone and both at once.
struct Figures {
    cat_alone: f64,
    cat_beside: f64,
    prefetch_alone: f64,
    both: f64,
}

async fn figures(size: u64, line: (u64, u64, usize), tuning: &Tuning) -> Figures {
    let bed = || Bed::new(size, line, tuning.clone());
    let cat_alone = bed().cat(LONG).await;
    let prefetch_alone = bed().prefetch(2).await.unwrap();
    let both = bed();
    let prefetch = both.prefetch(2);
    tokio::time::sleep(Duration::from_secs_f64(prefetch_alone / 8.0)).await;
    let cat_beside = both.cat(LONG).await;
    let both = prefetch.await.unwrap();
    println!(
        "{line:?}: cat {cat_alone:.1} MB/s alone, {cat_beside:.1} beside; prefetch {prefetch_alone:.2} s alone, \
         {both:.2} beside"
    );
    Figures { cat_alone, cat_beside, prefetch_alone, both }
}

/// So that none gives way.
fn without() -> Tuning {
    Tuning { way_wide_bytes_per_second: 1, ..Tuning::default() }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_waits_gets_most_of_a_narrow_line() {
    let line = (30, 30, 64);
    let [before, after] =
        [figures(288 * MIB, line, &without()).await, figures(288 * MIB, line, &Tuning::default()).await];
    assert!(before.cat_beside < before.cat_alone * 0.4, "what this is about");
    assert!(after.cat_beside > after.cat_alone * 0.7, "{}", after.cat_beside);
    assert_eq!(after.prefetch_alone, before.prefetch_alone, "where no program waits, nothing is slower");
    assert!(after.both < 3.0 * 288.0 * MIB as f64 / 30e6 * 1.05, "the line is not left empty: {}", after.both);
}

#[tokio::test(start_paused = true)]
async fn look_ups_are_answered_nearly_as_soon_beside_a_prefetch() {
    let bed = |tuning| Bed::new(512 * MIB, (30, 30, 64), tuning);
    let alone = bed(Tuning::default()).look_ups(50).await;
    let mut beside = Vec::new();
    for tuning in [without(), Tuning::default()] {
        let bed = bed(tuning);
        let prefetch = bed.prefetch(2);
        tokio::time::sleep(Duration::from_secs(2)).await;
        beside.push(bed.look_ups(50).await);
        prefetch.abort();
    }
    println!("a look-up takes {alone:.1} ms alone, beside a prefetch {beside:.1?} (without and with)");
    assert!(beside[0] > alone * 5.0 && beside[1] < alone * 1.5, "{beside:?}");
}

#[tokio::test(start_paused = true)]
async fn on_a_wide_line_nothing_gives_way() {
    let line = (1600, 100, 16);
    let [before, after] =
        [figures(256 * MIB, line, &without()).await, figures(256 * MIB, line, &Tuning::default()).await];
    assert_eq!((after.both, after.cat_beside), (before.both, before.cat_beside));
}

#[tokio::test(start_paused = true)]
async fn slow_connections_of_a_wide_line_are_all_used() {
    let line = (600, 10, 64);
    let [before, after] =
        [figures(384 * MIB, line, &without()).await, figures(384 * MIB, line, &Tuning::default()).await];
    // It is tried once, and a part takes 0.8 s.
    assert!(after.both < before.both + 1.0, "{} s instead of {}", after.both, before.both);
    assert!(after.cat_beside > before.cat_beside * 0.8, "{} instead of {}", after.cat_beside, before.cat_beside);
}

/// GETs that stand still for minutes beside programs that wait neither break nor stop.
#[tokio::test(start_paused = true)]
async fn what_gives_way_goes_on_with_a_share_and_comes_to_its_end() {
    let bed = Bed::new(320 * MIB, (3, 3, 64), Tuning::default());
    let prefetch = bed.prefetch(2);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let prefetched = |bed: &Bed| (1..=2).map(|number| bed.open(number).held_bytes()).sum::<u64>();
    let before = prefetched(&bed);
    let cat = bed.cat(Duration::from_secs(100)).await;
    let share = (prefetched(&bed) - before) as f64 / 1e6 / 100.0;
    println!("of 3 MB/s a cat gets {cat:.2} and a prefetch {share:.2}");
    assert!(share > 0.03 && cat > 3.0 * share, "{cat} {share}");
    prefetch.await.unwrap();
    assert_eq!(prefetched(&bed), 640 * MIB);
}
