//! Fleets of near caches: Debian's nginx with the configuration that is shipped, on nodes with networks of their own,
//! before a bucket whose requests and bytes are counted.

use std::fs;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use ossmount::base::ByteSize;
use ossmount::emulator::{Emulator, Operation, Options, Shaping};
use serde_json::Value;

use crate::conformance::pattern;
use crate::support::network::Network;
use crate::support::nginx::{Nginx, PORT, Setup, list};
use crate::support::program::{Target, Tool, by_hand, until};

const MIB: usize = 1 << 20;
/// The default of `near-slice`.
const SLICE: u64 = 2 << 20;

/// Nodes with a member each, and a bucket with one object.
struct Bench {
    network: Network,
    server: Emulator,
    members: Vec<Nginx>,
    bytes: Vec<u8>,
    token: tempfile::NamedTempFile,
}

impl Bench {
    fn new(nodes: usize, mbit: Option<u32>, size: usize, token: &str) -> Bench {
        let network = Network::new(nodes, mbit);
        let listen = SocketAddr::new(network.hub_address(), 0);
        let server = network.hub.within(|| Emulator::start(Options { listen, ..Options::default() }).unwrap());
        server.create_bucket("bucket");
        let bytes = pattern(size).to_vec();
        server.put("bucket", "model", bytes.clone());
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), token).unwrap();
        let mut bench = Bench { network, server, members: Vec::new(), bytes, token: file };
        bench.members = (0..nodes).map(|node| bench.member(node, token)).collect();
        bench
    }

    fn member(&self, node: usize, token: &str) -> Nginx {
        let listen = SocketAddr::new(self.network.address(node), PORT);
        let setup = Setup { listen, endpoint: self.server.address(), token, certificate: None };
        self.network.nodes[node].within(|| Nginx::start(&setup))
    }

    fn addresses(&self) -> Vec<IpAddr> {
        (0..self.network.nodes.len()).map(|node| self.network.address(node)).collect()
    }

    /// The options for the fleet.
    fn near(&self) -> Vec<String> {
        let mut options = vec!["--near".to_owned(), list("http", &self.addresses())];
        if fs::metadata(self.token.path()).unwrap().len() > 0 {
            options.extend(["--near-token-file".to_owned(), self.token.path().to_str().unwrap().to_owned()]);
        }
        options
    }

    fn mount_with(&self, node: usize, options: &[String]) -> Target {
        self.mount_url("oss://bucket", node, options)
    }

    fn mount_url(&self, url: &str, node: usize, options: &[String]) -> Target {
        let target = Target::new();
        let mut args = vec!["--metadata-ttl", "0"];
        args.extend(options.iter().map(String::as_str));
        let tool = Tool::for_server(&self.server);
        self.network.nodes[node].within(|| target.mount(&tool, url, &args).ok());
        target
    }

    /// Flips a bit in each slice that members hold.
    fn flip_cached(&self) {
        let mut flipped = 0;
        for file in self.members.iter().flat_map(Nginx::cached) {
            let (file, mut byte) = (fs::File::options().read(true).write(true).open(file).unwrap(), [0]);
            let middle = file.metadata().unwrap().len() / 2;
            file.read_exact_at(&mut byte, middle).unwrap();
            file.write_all_at(&[byte[0] ^ 1], middle).unwrap();
            flipped += 1;
        }
        assert!(flipped as u64 * SLICE >= self.bytes.len() as u64, "{flipped} slices");
    }

    fn mount(&self, node: usize) -> Target {
        self.mount_with(node, &self.near())
    }

    fn mounts(&self, options: &[String]) -> Vec<Target> {
        (0..self.network.nodes.len()).map(|node| self.mount_with(node, options)).collect()
    }

    /// All nodes read the object at once, which must be right; how long that took, and how much left the bucket, in
    /// objects. `meanwhile` runs beside them.
    fn load(&mut self, targets: &[Target], meanwhile: impl FnOnce(&mut Vec<Nginx>, &Emulator)) -> (Duration, f64) {
        self.server.reset_counters();
        let (began, bytes) = (Instant::now(), &self.bytes);
        let (members, server) = (&mut self.members, &self.server);
        std::thread::scope(|scope| {
            let readers: Vec<_> = targets.iter().map(|target| scope.spawn(move || read(target, bytes))).collect();
            meanwhile(members, server);
            readers.into_iter().for_each(|reader| reader.join().unwrap());
        });
        let took = began.elapsed();
        (took, self.server.counters().body_bytes as f64 / self.bytes.len() as f64)
    }
}

fn read(target: &Target, bytes: &[u8]) {
    let mut all = Vec::with_capacity(bytes.len());
    fs::File::open(target.path("model")).unwrap().read_to_end(&mut all).unwrap();
    assert!(all == bytes, "{} of {} bytes", all.len(), bytes.len());
}

fn metric(target: &Target, name: &str) -> u64 {
    let status = Tool::bare().run(&["status", "--json", target.dir()]).ok();
    let figures: Value = serde_json::from_str(&status.stdout).unwrap();
    figures["metrics"][name].as_u64().unwrap_or_else(|| panic!("no {name}"))
}

fn sum(targets: &[Target], name: &str) -> u64 {
    targets.iter().map(|target| metric(target, name)).sum()
}

fn nothing(_: &mut Vec<Nginx>, _: &Emulator) {}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

/// Waits until the bucket sends, over half a second, nearly as much as it can; which part of that it was.
fn at_speed_of_bucket(server: &Emulator, bytes_per_second: u64) -> f64 {
    let sent = || server.counters().body_bytes as f64;
    let (mut since, mut before, mut speed) = (Instant::now(), sent(), 0.0);
    until("the nodes read as fast as without caches", || {
        if seconds(since) < 0.5 {
            return false;
        }
        speed = (sent() - before) / seconds(since) / bytes_per_second as f64;
        (since, before) = (Instant::now(), sent());
        speed > 0.8
    });
    speed
}

#[test]
fn eight_nodes_take_one_copy_out_of_the_bucket_whatever_happens_to_their_caches() {
    const NODES: usize = 8;
    // Small and slow enough for eight daemons on two processors. The bucket has as much as two wires carry.
    let (mib, wire_mbit) = (by_hand("OSSMOUNT_NEAR_MIB", 32), by_hand("OSSMOUNT_NEAR_MBIT", 64_u32));
    let wire_bytes = u64::from(wire_mbit) * 125_000;
    let mut bench = Bench::new(NODES, Some(wire_mbit), mib * MIB, "secret");
    let size = bench.bytes.len();
    let total_bandwidth = Some(ByteSize(2 * wire_bytes));
    bench.server.set_shaping(Shaping { total_bandwidth, ..Shaping::default() });
    let floor = Duration::from_secs_f64(size as f64 / wire_bytes as f64);
    let show = |what: &str, (took, share): (Duration, f64)| {
        let wires = took.as_secs_f64() / floor.as_secs_f64();
        eprintln!("{what}: {:.1} s, {wires:.2} of the wires' floor, {share:.3} of the object", took.as_secs_f64());
        share
    };

    // On a machine that is busy with other things a connection may take too long, which costs a slice.
    let of_slices = |count: u64| (count * SLICE) as f64 / size as f64;
    let excused = |targets: &[Target]| of_slices(sum(targets, "near_errors") + sum(targets, "near_fallbacks"));

    let direct = bench.mounts(&[]);
    assert!(show("direct", bench.load(&direct, nothing)) >= NODES as f64);
    drop(direct);

    let near = bench.near();
    let cold = bench.mounts(&near);
    let share = show("cold", bench.load(&cold, nothing));
    assert_eq!(sum(&cold, "objects_verified"), NODES as u64);
    assert!(share <= 1.02 + excused(&cold), "{share}");
    drop(cold);

    let warm = bench.mounts(&near);
    // Listings are bytes too.
    let share = show("warm", bench.load(&warm, nothing));
    assert!(share < 0.001 + excused(&warm), "{share}");
    drop(warm);

    // The same again with caches that hold nothing; one of them is killed on the way.
    let half = |of: f64| move |server: &Emulator, size: usize| server.counters().body_bytes as f64 >= of * size as f64;
    bench.members.clear();
    bench.members = (0..NODES).map(|node| bench.member(node, "secret")).collect();
    let targets = bench.mounts(&near);
    let share = show(
        "one killed",
        bench.load(&targets, |members, server| {
            until("a part was loaded", || half(0.4)(server, size));
            members[3].kill();
        }),
    );
    let fallbacks = sum(&targets, "near_fallbacks");
    assert!(share <= 1.2 + of_slices(fallbacks), "{share}, {fallbacks}");
    assert!(sum(&targets, "near_errors") > 0);
    drop(targets);

    bench.members.clear();
    bench.members = (0..NODES).map(|node| bench.member(node, "secret")).collect();
    let targets = bench.mounts(&near);
    let share = show(
        "all stopped",
        bench.load(&targets, |members, server| {
            until("a part was loaded", || half(0.4)(server, size));
            members.iter_mut().for_each(Nginx::kill);
            let stopped = Instant::now();
            let speed = at_speed_of_bucket(server, 2 * wire_bytes);
            eprintln!("all stopped: {:.1} s until the bucket sends {speed:.2} of all that it can", seconds(stopped));
        }),
    );
    // What members had fetched and not handed on is lost.
    assert!(share <= NODES as f64 + 1.0, "{share}");
    assert_eq!(sum(&targets, "near_members_up") + sum(&targets, "near_members_out"), (NODES * NODES) as u64);
    assert_eq!((sum(&targets, "read_errors"), sum(&targets, "objects_verified")), (0, NODES as u64));
}

#[test]
fn members_that_hang_are_left_out_until_they_go_on() {
    let mut bench = Bench::new(3, None, 24 * MIB, "secret");
    let mut near = bench.near();
    near.extend(["--near-patience".to_owned(), "1".to_owned()]);
    let first = bench.mounts(&near);
    bench.load(&first, nothing);
    drop(first);

    let one = bench.mounts(&near);
    bench.members[1].hang();
    // The other owners fetch what it had.
    let (_, share) = bench.load(&one, nothing);
    assert!(share < 1.0, "{share}");
    assert!(sum(&one, "near_errors") > 0);
    drop(one);

    let all = bench.mounts(&near);
    bench.members.iter().for_each(Nginx::hang);
    let (_, share) = bench.load(&all, nothing);
    assert!(share >= 3.0, "{share}");
    assert_eq!((sum(&all, "read_errors"), sum(&all, "near_bytes"), sum(&all, "objects_verified")), (0, 0, 3));
    bench.members.iter().for_each(Nginx::go_on);
    for target in &all {
        until("the members are asked again", || {
            read(target, &bench.bytes);
            Tool::bare().run(&["control", target.dir(), r#"{"op":"drop","path":"model"}"#]).ok();
            metric(target, "near_members_out") == 0
        });
    }
    assert!(sum(&all, "near_bytes") > 0);
}

#[test]
fn an_overwritten_object_is_never_read_from_what_members_had_before() {
    let mut bench = Bench::new(2, None, 12 * MIB + 77, "");
    let targets = bench.mounts(&bench.near());
    bench.load(&targets, nothing);
    bench.bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    bench.server.put("bucket", "model", bench.bytes.clone());
    let (_, share) = bench.load(&targets, nothing);
    assert!(share <= 1.02, "{share}");
    assert_eq!(sum(&targets, "near_errors"), 0);
}

#[test]
fn bytes_that_rot_in_a_member_are_never_in_a_verified_object() {
    let mut bench = Bench::new(2, None, 12 * MIB, "secret");
    let target = [bench.mount(0)];
    bench.load(&target, nothing);
    drop(target);
    bench.flip_cached();
    let second = bench.mount(0);
    bench.server.reset_counters();
    match fs::read(second.path("model")) {
        Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EIO)),
        // All of it came before a program had any.
        Ok(bytes) => assert!(bytes == bench.bytes),
    }
    assert_eq!(metric(&second, "verify_failures"), 1);
    // What is read next comes from the bucket, and is right.
    read(&second, &bench.bytes);
    assert!(bench.server.counters().body_bytes >= bench.bytes.len() as u64);
    assert_eq!(metric(&second, "near_corrupt"), 2, "both members are struck");
    assert_eq!(metric(&second, "objects_verified"), 1);
}

#[test]
fn bytes_that_rot_are_replaced_before_a_program_sees_them_where_files_must_be_proved() {
    let mut bench = Bench::new(2, None, 52 * MIB, "secret");
    let target = [bench.mount(0)];
    bench.load(&target, nothing);
    drop(target);
    bench.flip_cached();
    let mut options = bench.near();
    options.extend(["--near-trust".to_owned(), "whole".to_owned()]);
    let proving = bench.mount_with(0, &options);
    read(&proving, &bench.bytes);
    assert_eq!((metric(&proving, "verify_failures"), metric(&proving, "near_corrupt")), (1, 2));
    assert_eq!((metric(&proving, "read_errors"), metric(&proving, "objects_verified")), (0, 1));
    assert!(metric(&proving, "near_bytes") >= 52 * MIB as u64);
    // What does not fit into memory is not asked of the members.
    options.extend(["--memory-limit".to_owned(), "64MiB".to_owned()]);
    let small = bench.mount_with(1, &options);
    read(&small, &bench.bytes);
    assert_eq!((metric(&small, "near_bytes"), metric(&small, "verify_failures")), (0, 0));
}

#[test]
fn a_member_without_the_token_or_for_another_bucket_serves_nothing_and_nobody_notices() {
    let mut bench = Bench::new(1, None, 6 * MIB, "secret");
    // Another token than the member wants.
    fs::write(bench.token.path(), "wrong\n").unwrap();
    let target = [bench.mount(0)];
    bench.load(&target, nothing);
    assert_eq!(metric(&target[0], "near_bytes"), 0);
    assert!(metric(&target[0], "near_errors") > 0);
    assert!(bench.members[0].cached().is_empty());
    drop(target);
    // None at all.
    let target = [bench.mount_with(0, &bench.near()[..2])];
    bench.load(&target, nothing);
    assert_eq!(metric(&target[0], "near_bytes"), 0);
    drop(target);
    // A member for another bucket.
    fs::write(bench.token.path(), "secret").unwrap();
    let elsewhere = SocketAddr::new(bench.network.hub_address(), 1);
    bench.members.clear();
    let listen = SocketAddr::new(bench.network.address(0), PORT);
    let setup = Setup { listen, endpoint: elsewhere, token: "secret", certificate: None };
    bench.members.push(bench.network.nodes[0].within(|| Nginx::start(&setup)));
    let target = [bench.mount(0)];
    bench.load(&target, nothing);
    assert_eq!(metric(&target[0], "near_bytes"), 0);
}

#[test]
fn members_are_reached_by_tls_if_their_certificate_is_trusted() {
    let mut bench = Bench::new(1, None, 6 * MIB, "secret");
    let folder = tempfile::tempdir().unwrap();
    let address = bench.network.address(0);
    let ours = certificate(folder.path(), "ours", address);
    let others = certificate(folder.path(), "others", address);
    bench.members.clear();
    let listen = SocketAddr::new(address, PORT);
    let setup =
        Setup { listen, endpoint: bench.server.address(), token: "secret", certificate: Some(ours.parent().unwrap()) };
    bench.members.push(bench.network.nodes[0].within(|| Nginx::start(&setup)));
    for (bundle, is_served) in [(&others, false), (&ours, true)] {
        let mut options = vec!["--near".to_owned(), list("https", &[address])];
        options.extend(["--near-token-file".to_owned(), bench.token.path().to_str().unwrap().to_owned()]);
        options.extend(["--near-ca-bundle".to_owned(), bundle.to_str().unwrap().to_owned()]);
        let target = [bench.mount_with(0, &options)];
        bench.load(&target, nothing);
        assert_eq!(metric(&target[0], "near_bytes") > 0, is_served, "{bundle:?}");
    }
}

/// A certificate for an address that it signs itself, with its key beside it.
fn certificate(folder: &std::path::Path, name: &str, address: IpAddr) -> std::path::PathBuf {
    let folder = folder.join(name);
    fs::create_dir(&folder).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=near", "-addext", &format!("subjectAltName=IP:{address}")]);
    openssl.arg("-out").arg(&cert).arg("-keyout").arg(&key);
    crate::support::program::Ended::of(&mut openssl).ok();
    cert
}

#[test]
fn a_fleet_is_warmed_up_by_one_node_whose_wire_carries_none_of_it() {
    let mut bench = Bench::new(4, None, 32 * MIB + 5, "secret");
    bench.server.put("bucket", "small", "less than near-min");
    let targets = bench.mounts(&bench.near());
    let fetch = |path: &str, more: &[&str]| {
        let path = targets[0].path(path);
        let args = [&["prefetch", "--near"], more, &[path.to_str().unwrap()]].concat();
        Tool::bare().run(&args)
    };
    let told = fetch("", &["--wait"]).ok();
    assert_eq!(told.stdout, "1 file of 32.0MiB is in the near caches, and 1 file too small for them (near-min)\n");
    let share = |bench: &Bench| bench.server.counters().body_bytes as f64 / bench.bytes.len() as f64;
    assert!((0.99..1.02).contains(&share(&bench)), "{}", share(&bench));
    assert_eq!((metric(&targets[0], "near_bytes"), metric(&targets[0], "prefetched_bytes")), (0, 0));
    assert_eq!(metric(&targets[0], "near_miss_bytes"), bench.bytes.len() as u64);
    // Progress, and a second time, which finds it all there.
    let told = fetch("model", &["--wait", "--json"]).ok();
    let last: Value = serde_json::from_str(told.stdout.lines().last().unwrap()).unwrap();
    let figures = ["bytes_arrived", "bytes_done", "files_done"].map(|name| last[name].as_u64().unwrap());
    assert_eq!(figures, [bench.bytes.len() as u64, bench.bytes.len() as u64, 1], "{last}");
    assert_eq!((&last["to"], &last["state"]), (&"near".into(), &"done".into()));
    let (_, share) = bench.load(&targets, nothing);
    assert!(share < 0.001, "{share}");
    // Members that are gone, and none at all.
    bench.members.iter_mut().for_each(Nginx::kill);
    fetch("model", &["--wait"]).fails(1, &["1 path could not be fetched", "model", "no near cache fetched it"]);
    let alone = bench.mount_with(0, &[]);
    let path = alone.path("model");
    let args = ["prefetch", "--near", path.to_str().unwrap()];
    Tool::bare().run(&args).fails(1, &["there is no fleet of near caches", "mount with near"]);
}

#[test]
fn a_bucket_of_s3_is_read_through_members_too() {
    let mut bench = Bench::new(1, None, 6 * MIB, "secret");
    for share in [1.0, 0.0] {
        let target = [bench.mount_url("s3://bucket", 0, &bench.near())];
        let (_, left) = bench.load(&target, nothing);
        assert!((left - share).abs() < 0.001, "{left}");
        assert_eq!((metric(&target[0], "near_errors"), metric(&target[0], "near_fallbacks")), (0, 0));
    }
}

#[test]
fn small_reads_at_random_places_go_to_the_bucket() {
    let bench = Bench::new(1, None, 12 * MIB, "secret");
    let target = bench.mount(0);
    let file = fs::File::open(target.path("model")).unwrap();
    let mut page = [0; 4096];
    for at in [9 * MIB, 3 * MIB + 4096, 11 * MIB, 5 * MIB] {
        file.read_exact_at(&mut page, at as u64).unwrap();
        assert_eq!(page, bench.bytes[at..at + 4096]);
    }
    assert_eq!(metric(&target, "near_bytes"), 0);
    assert!(bench.server.counters().of(Operation::GetObject) >= 4);
}
