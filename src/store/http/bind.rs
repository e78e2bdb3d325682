//! The local interfaces or addresses of connections, used in turn.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::net::if_::if_nametoindex;
use tokio::net::{TcpSocket, TcpStream};

use super::addresses::Address;
use super::invalid;
use crate::store::Result;

/// The longest name of an interface, in bytes; the kernel's `IFNAMSIZ` without its end.
const MAX_INTERFACE_BYTES: usize = 15;

/// A place of this machine that connections set out from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bind {
    /// A network interface, with all of its addresses.
    Interface(String),
    /// An address of one.
    Address(IpAddr),
}

impl FromStr for Bind {
    type Err = String;

    /// Takes an address, else a name. Fails with a phrase.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if let Ok(address) = text.trim_matches(['[', ']']).parse() {
            return Ok(Bind::Address(address));
        }
        let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
        match (1..=MAX_INTERFACE_BYTES).contains(&text.len()) && text.bytes().all(fits) {
            true => Ok(Bind::Interface(text.to_owned())),
            false => Err(format!("{text:?} is neither an interface, as in eth0, nor an address of one")),
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Interface(name) => f.write_str(name),
            Bind::Address(address) => address.fmt(f),
        }
    }
}

impl Bind {
    /// Fails where this machine has no such interface or address.
    fn check(&self) -> Result<()> {
        let found = match self {
            Bind::Interface(name) => if_nametoindex(name.as_str()).map(drop).map_err(io::Error::from),
            Bind::Address(address) => UdpSocket::bind((*address, 0)).map(drop),
        };
        found.map_err(|error| {
            invalid(format!("bind: this machine has no {self}; ip address lists its interfaces and addresses"))
                .with_source(Some(error.into()))
        })
    }

    /// Whether a connection from here can lead there.
    fn reaches(&self, to: &SocketAddr) -> bool {
        match self {
            Bind::Interface(_) => true,
            Bind::Address(address) => address.is_ipv4() == to.is_ipv4(),
        }
    }
}

/// All interfaces and addresses that connections set out from.
pub(super) struct Binds {
    all: Vec<Bind>,
    next: AtomicUsize,
}

impl Binds {
    /// Fails where this machine lacks one.
    pub(super) fn new(all: &[Bind]) -> Result<Self> {
        all.iter().try_for_each(Bind::check)?;
        Ok(Binds { all: all.to_vec(), next: AtomicUsize::new(0) })
    }

    /// Where to set out from, the one whose turn it is first; `None` leaves it to the kernel.
    pub(super) fn in_turn(&self) -> Vec<Option<&Bind>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        match self.all.len() {
            0 => vec![None],
            len => (0..len).map(|at| self.all.get((turn.wrapping_add(at)) % len)).collect(),
        }
    }
}

/// Those addresses that can be reached from here. Fails where there are none.
pub(super) fn reachable(from: Option<&Bind>, addresses: &[Arc<Address>]) -> io::Result<Vec<Arc<Address>>> {
    let reaches = |address: &&Arc<Address>| from.is_none_or(|from| from.reaches(&address.to));
    let reached: Vec<_> = addresses.iter().filter(reaches).cloned().collect();
    match (reached.is_empty(), from) {
        (true, Some(from)) if !addresses.is_empty() => {
            let what = format!("the host has no address of the family of {from}");
            Err(io::Error::new(io::ErrorKind::AddrNotAvailable, what))
        }
        _ => Ok(reached),
    }
}

/// Connects from a place of this machine.
pub(super) async fn connect(from: Option<&Bind>, to: SocketAddr) -> io::Result<TcpStream> {
    let Some(from) = from else { return TcpStream::connect(to).await };
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    match from {
        Bind::Interface(name) => socket.bind_device(Some(name.as_bytes()))?,
        Bind::Address(address) => socket.bind(SocketAddr::new(*address, 0))?,
    }
    socket.connect(to).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart() {
        let address = |text: &str| Ok(Bind::Address(text.parse().unwrap()));
        assert_eq!("10.0.0.1".parse::<Bind>(), address("10.0.0.1"));
        assert_eq!("[fe80::1]".parse::<Bind>(), address("fe80::1"));
        assert_eq!("eth0".parse(), Ok(Bind::Interface("eth0".to_owned())));
        for text in ["", "a/b", "an interface", "a-name-of-sixteen", "ü"] {
            assert!(text.parse::<Bind>().unwrap_err().contains("as in eth0"), "{text}");
        }
    }

    #[test]
    fn each_has_its_turn_and_the_others_follow() {
        let all = ["127.0.0.1", "127.0.0.2", "lo"].map(|text| text.parse().unwrap());
        let binds = Binds::new(&all).unwrap();
        let turn = || binds.in_turn().into_iter().flatten().map(Bind::to_string).collect::<Vec<_>>();
        assert_eq!(turn(), ["127.0.0.1", "127.0.0.2", "lo"]);
        assert_eq!(turn(), ["127.0.0.2", "lo", "127.0.0.1"]);
        assert_eq!(Binds::new(&[]).unwrap().in_turn(), [None]);
    }

    #[test]
    fn what_this_machine_lacks_is_told_at_once() {
        for text in ["no-such-if0", "192.0.2.1"] {
            let Err(error) = Binds::new(&[text.parse().unwrap()]) else { panic!("{text} is there") };
            assert!(error.message().contains(&format!("this machine has no {text}")), "{}", error.message());
        }
    }

    #[test]
    fn addresses_lead_to_their_own_family() {
        let all = ["127.0.0.1:1", "[::1]:1"].map(|text| Address::new(text.parse().unwrap()));
        let from = |text: &str| text.parse::<Bind>().unwrap();
        let reached = |from: Option<&Bind>, addresses: &[Arc<Address>]| {
            reachable(from, addresses)
                .map(|reached| reached.iter().map(|address| address.to.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(reached(Some(&from("::1")), &all).unwrap(), ["[::1]:1"]);
        assert_eq!(reached(Some(&from("lo")), &all).unwrap(), ["127.0.0.1:1", "[::1]:1"]);
        assert_eq!(reached(None, &all).unwrap().len(), 2);
        assert!(reached(Some(&from("::1")), &all[..1]).unwrap_err().to_string().contains("family of ::1"));
    }
}
