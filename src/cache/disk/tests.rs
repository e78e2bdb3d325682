//! The tier as a whole, on a real file system.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use super::map::{BLOCK_BYTES, Boot, HEADER_BYTES};
use super::{Cached, Course, Disk, DiskOptions, Filled, Identity, ToKeep, clear, survey, verify};
use crate::base::crc64::crc64;
use crate::base::{ByteRange, Clock};
use crate::metrics::{Metric, Metrics};

pub(super) const LONG: Duration = Duration::from_secs(60);

/// A daemon's tier.
pub(super) struct Daemon {
    disk: Arc<Disk>,
    metrics: Arc<Metrics>,
}

impl Daemon {
    pub(super) fn with(options: &DiskOptions, boot: &str) -> Daemon {
        let metrics = Arc::new(Metrics::default());
        let disk = Disk::in_boot_called(boot, options, &metrics).unwrap();
        Daemon { disk, metrics }
    }

    pub(super) fn on(dir: &Path) -> Daemon {
        Daemon::with(&options(dir), "first")
    }

    pub(super) async fn look(&self, object: &Object) -> Arc<Cached> {
        self.disk.look(object.identity.clone()).await.unwrap()
    }

    /// Has a range written, and waits for that.
    pub(super) async fn put(&self, cached: &Arc<Cached>, object: &Object, range: ByteRange) {
        cached.write(ToKeep { crc64: Some(crc64(&object.bytes)), ..object.keep(range) });
        self.drain().await;
    }

    async fn drain(&self) {
        let disk = self.disk.clone();
        assert!(tokio::task::spawn_blocking(move || disk.drain(LONG)).await.unwrap());
    }

    /// Caches all of an object.
    pub(super) async fn fill(&self, object: &Object) -> Arc<Cached> {
        let cached = self.look(object).await;
        self.put(&cached, object, object.all()).await;
        cached
    }

    pub(super) fn count(&self, metric: Metric) -> u64 {
        self.metrics.value(metric)
    }
}

pub(super) fn options(dir: &Path) -> DiskOptions {
    DiskOptions {
        dirs: vec![dir.to_owned()],
        free_bytes: Some(1 << 20),
        takes_any: true,
        origin: "s3://host/bucket".to_owned(),
        ..DiskOptions::default()
    }
}

#[derive(Clone)]
pub(super) struct Object {
    identity: Identity,
    pub(super) bytes: Vec<u8>,
}

impl Object {
    pub(super) fn new(key: &str, size: usize) -> Object {
        let mut bytes = vec![0; size];
        StdRng::seed_from_u64(crc64(key.as_bytes())).fill_bytes(&mut bytes);
        let identity = Identity {
            origin: "s3://host/bucket".to_owned(),
            key: key.to_owned(),
            version: None,
            etag: "tag".to_owned(),
            size: size as u64,
        };
        Object { identity, bytes }
    }

    pub(super) fn all(&self) -> ByteRange {
        ByteRange::new(0, self.bytes.len() as u64)
    }

    /// Bytes of it to be written.
    pub(super) fn keep(&self, range: ByteRange) -> ToKeep {
        let bytes = Box::new(self.at(range).to_vec());
        ToKeep { range, bytes, crc64: None, sums: Vec::new(), claims: Arc::default() }
    }

    pub(super) fn at(&self, range: ByteRange) -> &[u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }
}

/// Whether all of a range is on disk.
pub(super) async fn has(cached: &Arc<Cached>, range: ByteRange) -> bool {
    matches!(cached.course(range).await, Course::Disk(run) if run == range)
}

pub(super) async fn read(cached: &Arc<Cached>, range: ByteRange) -> Option<Vec<u8>> {
    if !has(cached, range).await {
        return None;
    }
    match cached.read(range, vec![0; range.len() as usize]).await {
        Filled::Right(bytes, crc) => {
            assert!(crc.is_none_or(|crc| crc == crc64(&bytes)));
            Some(bytes)
        }
        Filled::Not => None,
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let objects = dir.join("ossmount-1/o");
    let directories = fs::read_dir(objects).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = directories.flat_map(|dir| fs::read_dir(dir).unwrap()).map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

fn maps(dir: &Path) -> Vec<PathBuf> {
    files(dir).into_iter().filter(|file| file.extension().unwrap() == "m").collect()
}

fn data(dir: &Path) -> Vec<PathBuf> {
    files(dir).into_iter().filter(|file| file.extension().unwrap() != "m").collect()
}

/// Threads of a daemon that has gone let go of the directory a moment later.
fn clear_at_the_end(dir: &Path) -> u64 {
    let clock = Clock::system();
    loop {
        match clear(dir) {
            Ok(bytes) => {
                assert!(!dir.join("ossmount-1/OPENS").exists(), "names of what was opened are left");
                return bytes;
            }
            Err(error) => assert!(clock.elapsed() < LONG, "{error}"),
        }
        std::thread::yield_now();
    }
}

/// Says when an object was used last.
fn used_at(dir: &Path, object: &Object, seconds_ago: u64) {
    let map = dir.join("ossmount-1").join(super::place::map_path(object.identity.name()));
    let then = std::time::UNIX_EPOCH + Duration::from_secs(Clock::system().now().seconds as u64)
        - Duration::from_secs(seconds_ago);
    fs::File::options().write(true).open(map).unwrap().set_modified(then).unwrap();
}

/// Fourteen blocks, the last of them short.
pub(super) const SIZE: usize = 13 * BLOCK_BYTES as usize + 4097;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_there_for_the_next_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let object = Object::new("a", SIZE);
    let first = Daemon::on(dir.path());
    let cached = first.fill(&object).await;
    assert_eq!((cached.held_bytes().await, first.count(Metric::DiskWrittenBytes)), (SIZE as u64, SIZE as u64));
    drop((first, cached));
    let second = Daemon::on(dir.path());
    let cached = second.look(&object).await;
    assert_eq!(cached.crc64(), Some(crc64(&object.bytes)));
    let block = BLOCK_BYTES;
    let ranges =
        [(0, SIZE as u64), (block, 3 * block), (5, 9), (block - 1, 2 * block + 1), (13 * block + 7, SIZE as u64)];
    for (start, end) in ranges {
        let range = ByteRange::new(start, end);
        assert!(read(&cached, range).await.unwrap() == object.at(range), "{range:?}");
    }
    assert_eq!(second.count(Metric::DiskHits), ranges.len() as u64);
    let whole = cached.whole().await.unwrap();
    let file = fs::File::from(whole.as_fd().try_clone_to_owned().unwrap());
    let mut bytes = vec![0; SIZE];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert!(bytes == object.bytes && file.metadata().unwrap().len() == SIZE as u64);
    let other = Object { identity: Identity { etag: "other".to_owned(), ..object.identity }, ..object };
    assert!(read(&second.look(&other).await, other.all()).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_complete_blocks_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let object = Object::new("a", SIZE);
    let daemon = Daemon::on(dir.path());
    let cached = daemon.look(&object).await;
    let block = BLOCK_BYTES;
    daemon.put(&cached, &object, ByteRange::new(block - 8, 3 * block + 8)).await;
    for (start, end, is_there) in
        [(block, 3 * block, true), (block - 1, block + 1, false), (3 * block, 3 * block + 1, false)]
    {
        let range = ByteRange::new(start, end);
        assert!(read(&cached, range).await.as_deref() == is_there.then(|| object.at(range)), "{range:?}");
    }
    assert!(cached.whole().await.is_none());
    daemon.put(&cached, &object, object.all()).await;
    assert_eq!(daemon.count(Metric::DiskWrittenBytes), SIZE as u64, "nothing is written twice");
    assert!(cached.whole().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_reads_only_what_was_checked_since_this_boot() {
    let dir = tempfile::tempdir().unwrap();
    let object = Object::new("a", SIZE);
    drop(Daemon::on(dir.path()).fill(&object).await);
    let daemon = Daemon::with(&options(dir.path()), "second");
    let cached = daemon.look(&object).await;
    assert!(cached.whole().await.is_none());
    let half = ByteRange::new(0, 3 * BLOCK_BYTES);
    assert!(read(&cached, half).await.is_some() && cached.whole().await.is_none());
    assert!(read(&cached, ByteRange::new(3 * BLOCK_BYTES, SIZE as u64)).await.is_some());
    assert!(cached.whole().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_are_never_shown() {
    let mut random = StdRng::seed_from_u64(3);
    let (mut wrong, mut served) = (0, 0);
    for round in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let object = Object::new(&format!("object {round}"), 40 * BLOCK_BYTES as usize + 100);
        drop(Daemon::on(dir.path()).fill(&object).await);
        for file in files(dir.path()) {
            let file = fs::File::options().read(true).write(true).open(file).unwrap();
            for _ in 0..random.random_range(0..3) {
                let mut byte = [0];
                let at = random.random_range(0..file.metadata().unwrap().len());
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ 1 << random.random_range(0..8)], at).unwrap();
            }
        }
        // Another boot: in this one the kernel could have shown them from its own memory as well.
        let daemon = Daemon::with(&options(dir.path()), "second");
        let cached = daemon.look(&object).await;
        for start in (0..object.bytes.len() as u64).step_by(3 * BLOCK_BYTES as usize) {
            let range = ByteRange::new(start, (start + 3 * BLOCK_BYTES).min(object.bytes.len() as u64));
            if let Some(bytes) = read(&cached, range).await {
                assert!(bytes == object.at(range), "round {round}, {range:?}");
                served += range.len();
            }
        }
        wrong += daemon.count(Metric::DiskCorrupt);
        daemon.put(&cached, &object, object.all()).await;
        let again = daemon.look(&object).await;
        if let Some(whole) = again.whole().await {
            let mut bytes = vec![0; object.bytes.len()];
            let file = fs::File::from(whole.as_fd().try_clone_to_owned().unwrap());
            file.read_exact_at(&mut bytes, 0).unwrap();
            assert!(bytes == object.bytes, "round {round}");
        }
    }
    assert!(wrong > 0 && served > 20 * 15 * BLOCK_BYTES, "{wrong} {served}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_speaks_of_other_bytes_than_the_store_is_thrown_away() {
    let dir = tempfile::tempdir().unwrap();
    let object = Object::new("a", SIZE);
    let daemon = Daemon::on(dir.path());
    let cached = daemon.look(&object).await;
    let wrong = crc64(&object.bytes) ^ 1;
    cached.write(ToKeep { crc64: Some(wrong), ..object.keep(object.all()) });
    daemon.drain().await;
    assert!(cached.whole().await.is_none());
    assert!(read(&cached, object.all()).await.is_none());
    assert_eq!(files(dir.path()).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_off_or_lost_is_a_miss() {
    let dir = tempfile::tempdir().unwrap();
    for (at, spoil) in [
        (|data: &Path, _: &Path| fs::File::options().write(true).open(data).unwrap().set_len(5).unwrap())
            as fn(&Path, &Path),
        |data, _| fs::remove_file(data).unwrap(),
        |_, map| fs::remove_file(map).unwrap(),
        |_, map| fs::write(map, "").unwrap(),
        |_, map| fs::File::options().write(true).open(map).unwrap().set_len(HEADER_BYTES as u64 + 3).unwrap(),
        |_, map| fs::write(map, [7; 9000]).unwrap(),
    ]
    .into_iter()
    .enumerate()
    {
        let object = Object::new(&format!("object {at}"), SIZE);
        let daemon = Daemon::on(dir.path());
        drop(daemon.fill(&object).await);
        let (map, data) = (maps(dir.path()), data(dir.path()));
        spoil(&data[0], &map[0]);
        let cached = daemon.look(&object).await;
        assert!(read(&cached, object.all()).await.is_none(), "{at}");
        daemon.put(&cached, &object, object.all()).await;
        assert!(read(&cached, object.all()).await.unwrap() == object.bytes, "{at}: it can be cached anew");
        drop((cached, daemon));
        clear_at_the_end(dir.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_is_kept_and_what_was_used_longest_ago_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let size_bytes = 52 * BLOCK_BYTES;
    let limited = DiskOptions { size_bytes: Some(size_bytes), ..options(dir.path()) };
    let objects: Vec<Object> =
        (0..6).map(|at| Object::new(&format!("object {at}"), 12 * BLOCK_BYTES as usize - 20_000)).collect();
    let disk_bytes = || survey(dir.path()).unwrap().disk_bytes;
    let before = Daemon::on(dir.path());
    for object in &objects[..3] {
        drop(before.fill(object).await);
    }
    for (object, seconds_ago) in objects.iter().zip([100, 400, 300]) {
        used_at(dir.path(), object, seconds_ago);
    }
    let daemon = Daemon::with(&limited, "first");
    let open = daemon.look(&objects[1]).await;
    used_at(dir.path(), &objects[1], 400);
    for object in &objects[3..5] {
        drop(daemon.fill(object).await);
        assert!(disk_bytes() <= size_bytes, "{}", disk_bytes());
    }
    let mut there = Vec::new();
    for object in &objects {
        there.push(read(&daemon.look(object).await, object.all()).await.is_some());
    }
    assert_eq!(there, [true, true, false, true, true, false], "the second is in use");
    assert!(daemon.count(Metric::DiskEvicted) > 0);
    assert!(read(&open, objects[1].all()).await.unwrap() == objects[1].bytes);
    let large = Object::new("large", size_bytes as usize * 2);
    drop(daemon.fill(&large).await);
    assert!(disk_bytes() <= size_bytes);
    for object in [&objects[0], &objects[3], &objects[4]] {
        assert!(read(&daemon.look(object).await, object.all()).await.is_some(), "what never fits pushes nothing out");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_too_little_is_free_nothing_is_written_and_what_is_there_goes() {
    let dir = tempfile::tempdir().unwrap();
    let object = Object::new("a", SIZE);
    drop(Daemon::on(dir.path()).fill(&object).await);
    let free = survey(dir.path()).unwrap().free_bytes;
    let greedy = DiskOptions { free_bytes: Some(free * 2), ..options(dir.path()) };
    let error =
        Disk::in_boot(&greedy, 1, &Arc::default(), &Clock::system(), Boot::of("first")).unwrap_err().to_string();
    assert!(error.contains("cache-free") && error.contains("make room"), "{error}");
    let daemon = Daemon::on(dir.path());
    let room = super::room::Room::new(
        Arc::new(super::place::Place::open(dir.path(), true, super::place::Access::Shared, Boot::of("first")).unwrap()),
        super::room::Limits { size_bytes: None, free_bytes: Some(free * 2) },
        daemon.metrics.clone(),
        Clock::system(),
    );
    assert!(!room.claim(1).unwrap(), "all that could go is not enough");
    assert_eq!(files(dir.path()).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_daemons_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let object = Object::new("a", SIZE);
    let daemons: Vec<Daemon> = (0..4).map(|_| Daemon::on(dir.path())).collect();
    let mut open = Vec::new();
    for daemon in &daemons {
        open.push(daemon.look(&object).await);
    }
    // Each writes all of it at once.
    for cached in &open {
        cached.write(object.keep(object.all()));
    }
    for daemon in &daemons {
        daemon.drain().await;
    }
    for cached in &open {
        assert!(read(cached, object.all()).await.unwrap() == object.bytes);
        assert!(cached.whole().await.is_some());
    }
    assert_eq!(files(dir.path()).len(), 2, "{:?}", files(dir.path()));
    let error = clear(dir.path()).unwrap_err().to_string();
    assert!(error.contains("unmount it first"), "{error}");
    drop((open, daemons));
    assert!(clear_at_the_end(dir.path()) >= SIZE as u64);
    assert_eq!(survey(dir.path()).unwrap().objects, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_vanishes_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let daemon = Daemon::on(&cache);
    let before = daemon.fill(&Object::new("a", SIZE)).await;
    fs::remove_dir_all(&cache).unwrap();
    for at in 0..3 {
        let object = Object::new(&format!("object {at}"), SIZE);
        let cached = daemon.look(&object).await;
        daemon.put(&cached, &object, object.all()).await;
    }
    assert!(daemon.count(Metric::DiskErrors) >= 3);
    assert!(daemon.disk.look(Object::new("b", SIZE).identity).await.is_none(), "it rests");
    assert!(!has(&before, ByteRange::new(0, 1)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_blocks_are_found_and_removed_by_verify() {
    let dir = tempfile::tempdir().unwrap();
    let object = Object::new("a", SIZE);
    drop(Daemon::on(dir.path()).fill(&object).await);
    let found = verify(dir.path()).unwrap();
    assert_eq!((found.objects, found.complete_objects, found.right_blocks, found.wrong_blocks), (1, 1, 14, 0));
    let file = fs::File::options().write(true).open(&data(dir.path())[0]).unwrap();
    file.write_all_at(&[object.bytes[BLOCK_BYTES as usize] ^ 8], BLOCK_BYTES).unwrap();
    let found = verify(dir.path()).unwrap();
    assert_eq!((found.complete_objects, found.right_blocks, found.wrong_blocks), (0, 13, 1));
    assert_eq!(found.bytes, SIZE as u64 - BLOCK_BYTES);
    let cached = Daemon::on(dir.path());
    let cached = cached.look(&object).await;
    assert!(read(&cached, ByteRange::new(BLOCK_BYTES, BLOCK_BYTES + 1)).await.is_none());
    assert!(read(&cached, ByteRange::new(0, BLOCK_BYTES)).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_processes_that_ended_left_behind_goes() {
    let dir = tempfile::tempdir().unwrap();
    let object = Object::new("a", SIZE);
    let daemon = Daemon::on(dir.path());
    drop(daemon.fill(&object).await);
    let map = maps(dir.path())[0].clone();
    let stem = map.to_str().unwrap().strip_suffix(".m").unwrap().to_owned();
    let left = [format!("{stem}.0123456789abcdef"), format!("{stem}.m.0123456789abcdef.new"), {
        format!("{}0.0123456789abcdef", &stem[..stem.len() - 1])
    }];
    let old =
        std::time::UNIX_EPOCH + Duration::from_secs(Clock::system().now().seconds as u64) - Duration::from_secs(7200);
    for name in &left {
        let file = fs::File::create(name).unwrap();
        file.write_all_at(&[1; 5000], 0).unwrap();
        file.set_modified(old).unwrap();
    }
    let young = format!("{stem}.ffffffffffffffff");
    fs::write(&young, "").unwrap();
    let place = super::place::Place::open(dir.path(), true, super::place::Access::Shared, Boot::of("first")).unwrap();
    let place = Arc::new(place);
    let limits = super::room::Limits { size_bytes: None, free_bytes: Some(0) };
    let room = super::room::Room::new(place.clone(), limits, daemon.metrics.clone(), Clock::system());
    let content = room.scan().unwrap();
    assert_eq!((content.objects, content.bytes), (1, survey(dir.path()).unwrap().disk_bytes));
    assert!(left.iter().all(|name| !Path::new(name).exists()) && Path::new(&young).exists());
    assert!(read(&daemon.look(&object).await, object.all()).await.is_some(), "what is in order stays");
    assert_eq!(place.usage.used().unwrap(), content.bytes);
}

#[test]
fn a_directory_that_is_not_ours_alone_is_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let open = |dir: &Path| {
        let metrics = Arc::default();
        Disk::in_boot(&options(dir), 1, &metrics, &Clock::system(), Boot::of("first")).map(drop)
    };
    let open_to_all = dir.path().join("open");
    fs::create_dir(&open_to_all).unwrap();
    fs::set_permissions(&open_to_all, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(open(&open_to_all).unwrap_err().to_string().contains("other users may write"));
    let linked = dir.path().join("linked");
    fs::create_dir(&linked).unwrap();
    symlink("/etc", linked.join("ossmount-1")).unwrap();
    assert!(open(&linked).unwrap_err().to_string().contains("not a directory"));
    open(&dir.path().join("made/as/needed")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_spread_over_directories_and_a_lost_one_loses_its_share_alone() {
    let dir = tempfile::tempdir().unwrap();
    let dirs: Vec<PathBuf> = ["one", "two", "three"].map(|name| dir.path().join(name)).to_vec();
    let all = DiskOptions { dirs: dirs.clone(), ..options(dir.path()) };
    let objects: Vec<Object> = (0..60).map(|at| Object::new(&format!("object {at}"), 1000)).collect();
    let daemon = Daemon::with(&all, "first");
    for object in &objects {
        daemon.fill(object).await;
    }
    let held = dirs.iter().map(|dir| survey(dir).unwrap().objects).collect::<Vec<_>>();
    assert!(held.iter().all(|objects| *objects > 8) && held.iter().sum::<u64>() == 60, "{held:?}");
    drop(daemon);
    let daemon = Daemon::with(&DiskOptions { dirs: dirs[1..].to_vec(), ..all }, "first");
    let mut hits = 0;
    for object in &objects {
        hits += u64::from(has(&daemon.look(object).await, object.all()).await);
    }
    assert_eq!(hits, held[1] + held[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_objects_are_kept_many_to_a_file() {
    // `OSSMOUNT_CACHED_OBJECTS=1000000` is the long run.
    let count = std::env::var("OSSMOUNT_CACHED_OBJECTS").map_or(3000, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::on(dir.path());
    let object = |at: usize| Object::new(&format!("object {at}"), 1 + at % 4000);
    for at in 0..count {
        let object = object(at);
        let cached = daemon.look(&object).await;
        cached.write(ToKeep { crc64: Some(crc64(&object.bytes)), ..object.keep(object.all()) });
        if at % 1000 == 0 {
            daemon.drain().await;
        }
    }
    daemon.drain().await;
    drop(daemon);
    assert_eq!(files(dir.path()).len(), 0);
    let found = survey(dir.path()).unwrap();
    let dropped = count as u64 - found.objects;
    assert_eq!((found.complete_objects, dropped), (found.objects, 0));
    let began = Clock::system();
    let daemon = Daemon::on(dir.path());
    println!("{count} objects: open after {:?}", began.elapsed());
    let last = object(count - 1);
    while read(&daemon.look(&last).await, last.all()).await.is_none() {
        assert!(began.elapsed() < LONG);
    }
    println!("the last is found after {:?}", began.elapsed());
    for at in (0..count).step_by((count / 1000).max(1)) {
        let object = object(at);
        let cached = daemon.look(&object).await;
        let part = ByteRange::new(object.all().end / 3, object.all().end);
        // Segments are looked at in no order.
        let found = loop {
            if let Some(found) = read(&cached, object.all()).await {
                break found;
            }
            assert!(began.elapsed() < LONG, "{at}");
        };
        assert!(found == object.bytes, "{at}");
        assert!(read(&cached, part).await.unwrap() == object.at(part), "{at}");
        assert_eq!(cached.crc64(), Some(crc64(&object.bytes)));
    }
    println!("one in each thousand is found after {:?}", began.elapsed());
    let object = object(7);
    let cached = daemon.look(&object).await;
    cached.condemn();
    cached.clone().discard().await;
    assert!(read(&cached, object.all()).await.is_none());
    assert!(!has(&daemon.look(&object).await, object.all()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_of_small_objects_go_as_a_whole_and_not_while_they_grow() {
    let dir = tempfile::tempdir().unwrap();
    let limited = DiskOptions { size_bytes: Some(8 << 20), ..options(dir.path()) };
    let objects: Vec<Object> = (0..40).map(|at| Object::new(&format!("object {at}"), 500_000)).collect();
    let first = Daemon::with(&limited, "first");
    for object in &objects[..10] {
        drop(first.fill(object).await);
    }
    let large = Object::new("large", 5 << 20);
    drop(first.fill(&large).await);
    assert!(survey(dir.path()).unwrap().disk_bytes <= 8 << 20);
    assert_eq!(first.count(Metric::DiskEvicted), 0, "the segment is being written to");
    drop(first);
    let second = Daemon::with(&limited, "first");
    let clock = Clock::system();
    while survey(dir.path()).unwrap().complete_objects != 1 {
        assert!(clock.elapsed() < LONG);
        drop(second.fill(&large).await);
    }
    assert!(read(&second.look(&large).await, large.all()).await.unwrap() == large.bytes);
    assert!(read(&second.look(&objects[0]).await, objects[0].all()).await.is_none());
    assert!(survey(dir.path()).unwrap().disk_bytes <= 8 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_wrong_before_it_is_written_never_comes_to_the_disk() {
    for size in [500_000, 5 << 20] {
        let dir = tempfile::tempdir().unwrap();
        let daemon = Daemon::on(dir.path());
        let object = Object::new("wrong", size);
        let cached = daemon.look(&object).await;
        cached.condemn();
        daemon.put(&cached, &object, object.all()).await;
        drop(cached);
        let cached = daemon.look(&object).await;
        assert!(read(&cached, object.all()).await.is_none(), "{size}");
        daemon.put(&cached, &object, object.all()).await;
        assert!(read(&cached, object.all()).await.unwrap() == object.bytes, "{size}: what comes later is kept");
    }
}
