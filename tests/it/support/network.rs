//! Networks of their own for tests: a hub with a bucket, and nodes at the ends of wires. All of it vanishes with the
//! last program that uses it, however a test ends.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::process::Command;

use crate::support::program::Ended;

/// The address of the hub; nodes follow from `10.99.0.11` on.
const HUB: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

/// A network namespace.
pub(crate) struct Namespace(File);

impl Namespace {
    /// A new one, with a loopback interface.
    fn new() -> Namespace {
        on_new_thread(|| {
            // SAFETY: a plain system call about this thread.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0, "this test needs root");
            run("ip link set lo up");
            // The same on every machine. BBR is not for wires that drop what they cannot carry: of many connections
            // over one, some come to a standstill for seconds. Where it may not be chosen, tests only take longer.
            let _ = fs::write("/proc/sys/net/ipv4/tcp_congestion_control", "reno");
            Namespace(File::open("/proc/thread-self/ns/net").unwrap())
        })
    }

    /// Runs on a new thread within; the programs and threads that it starts stay there.
    pub(crate) fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        on_new_thread(|| {
            // SAFETY: a plain system call about this thread, with an open descriptor.
            assert_eq!(unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
            act()
        })
    }

    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// A hub and its nodes.
pub(crate) struct Network {
    pub(crate) hub: Namespace,
    pub(crate) nodes: Vec<Namespace>,
}

impl Network {
    /// So many nodes, each at a wire of so many megabits a second in either direction, or as fast as the machine is.
    pub(crate) fn new(nodes: usize, mbit: Option<u32>) -> Network {
        let hub = Namespace::new();
        hub.within(|| {
            run("ip link add hub type bridge");
            run(&format!("ip addr add {HUB}/24 dev hub"));
            run("ip link set hub up");
        });
        let network = Network { hub, nodes: (0..nodes).map(|_| Namespace::new()).collect() };
        for (number, node) in network.nodes.iter().enumerate() {
            let (wire, address) = (format!("wire{number}"), network.address(number));
            let shaped = |device: &str| {
                if let Some(mbit) = mbit {
                    run(&format!("tc qdisc add dev {device} root tbf rate {mbit}mbit burst 128kb latency 50ms"));
                }
            };
            network.hub.within(|| {
                run(&format!("ip link add {wire} type veth peer name eth0 netns {}", node.path()));
                run(&format!("ip link set {wire} master hub up"));
                shaped(&wire);
            });
            node.within(|| {
                run(&format!("ip addr add {address}/24 dev eth0"));
                run("ip link set eth0 up");
                shaped("eth0");
            });
        }
        network
    }

    /// The address of the hub.
    pub(crate) fn hub_address(&self) -> IpAddr {
        HUB.into()
    }

    /// The address of a node.
    pub(crate) fn address(&self, node: usize) -> IpAddr {
        Ipv4Addr::new(10, 99, 0, 11 + u8::try_from(node).unwrap()).into()
    }
}

fn on_new_thread<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(act).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

fn run(line: &str) {
    let mut words = line.split(' ');
    Ended::of(Command::new(words.next().unwrap()).args(words)).ok();
}
