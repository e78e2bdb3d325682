//! Messages to the service manager: that the mount is ready, its status, that it still answers, that it ends.
//!
//! The protocol is that of systemd's `sd_notify`: datagrams of `NAME=value` lines to the socket that `NOTIFY_SOCKET`
//! names. Without that variable nothing is told. A manager that went away must not take the mount with it:
//! what cannot be said is logged, once.
//!
//! The crate `sd-notify` reads and removes variables of the process, and opens a socket for each message, without a
//! time-out. Here the variables come from the caller, so that tests set none, and one socket with a time-out leads to
//! systemd or to this program's own supervisor.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use parking_lot::Mutex;

use super::deaths::Deaths;
use super::descriptors::{DEVICE, Held, LEDGER};
use crate::base::Clock;

/// The service manager, if there is one that listens.
#[derive(Debug)]
pub(in crate::app) struct Manager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
    /// It keeps descriptors while no daemon has them.
    keeps: bool,
    /// What it has kept.
    held: Mutex<Option<Held>>,
    /// What became of the daemons before, where that is known.
    deaths: Option<Deaths>,
    is_deaf: AtomicBool,
}

impl Manager {
    /// There is no service manager: no message is sent.
    pub(in crate::app) fn none() -> Self {
        Manager {
            socket: None,
            watchdog: None,
            keeps: false,
            held: Mutex::default(),
            deaths: None,
            is_deaf: AtomicBool::new(false),
        }
    }

    /// The one at the other end of a socket, which keeps descriptors, has kept these, and has seen daemons end.
    pub(super) fn at(socket: UnixDatagram, held: Option<Held>, deaths: Option<Deaths>) -> Self {
        Manager { socket: Some(socket), keeps: true, held: Mutex::new(held), deaths, ..Self::none() }
    }

    /// What became of the daemons before this one, where it is known.
    pub(super) fn deaths(&self) -> Option<&Deaths> {
        self.deaths.as_ref()
    }

    /// The service manager that this process's environment names.
    pub(in crate::app) fn from_environment(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let Some(address) = variable("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else {
            return Self::none();
        };
        let watchdog = watchdog_period(variable, std::process::id());
        match connect(&address) {
            Ok(socket) => {
                let keeps = number(variable, "FDSTORE").is_some_and(|descriptors| descriptors >= 2);
                let held = if keeps { Held::from_environment(variable, std::process::id()) } else { None };
                Manager { socket: Some(socket), watchdog, keeps, held: Mutex::new(held), ..Self::none() }
            }
            Err(error) => {
                tracing::warn!(?address, %error, "the notification socket of the service manager cannot be used");
                Self::none()
            }
        }
    }

    /// How often the manager wants to hear that all is well: half the time after which it takes the service for hung.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.map(|period| period / 2)
    }

    /// Whether it keeps descriptors for the next life.
    pub(super) fn keeps(&self) -> bool {
        self.keeps
    }

    /// Whether it has kept a mount that was not taken up yet.
    pub(in crate::app) fn holds(&self) -> bool {
        self.held.lock().is_some()
    }

    /// What it has kept of the life before. Once.
    pub(super) fn take_held(&self) -> Option<Held> {
        self.held.lock().take()
    }

    /// Has the device of a mount and its ledger kept for the next life.
    pub(super) fn keep(&self, device: BorrowedFd<'_>, ledger: BorrowedFd<'_>) -> io::Result<()> {
        // The ledger is no file that could be waited for.
        self.hand(&format!("FDSTORE=1\nFDNAME={LEDGER}\nFDPOLL=0"), ledger)?;
        self.hand(&format!("FDSTORE=1\nFDNAME={DEVICE}"), device)
    }

    /// There will be no next life for what is kept.
    pub(in crate::app) fn keep_no_more(&self) {
        if self.keeps {
            self.say(&format!("FDSTOREREMOVE=1\nFDNAME={DEVICE}"));
            self.say(&format!("FDSTOREREMOVE=1\nFDNAME={LEDGER}"));
        }
    }

    fn hand(&self, message: &str, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Err(io::ErrorKind::NotConnected.into()) };
        let (text, descriptors) = ([io::IoSlice::new(message.as_bytes())], [descriptor.as_raw_fd()]);
        let rights = [ControlMessage::ScmRights(&descriptors)];
        sendmsg::<()>(socket.as_raw_fd(), &text, &rights, MsgFlags::MSG_NOSIGNAL, None)?;
        Ok(())
    }

    /// Tells that the mount answers.
    pub(super) fn ready(&self, source: &str) {
        self.say(&format!("READY=1\nSTATUS=Serving {}", Self::shown(source)));
    }

    /// A text that begins no other message: a line break would.
    pub(super) fn shown(text: &str) -> String {
        text.chars().filter(|char| !char.is_control()).collect()
    }

    /// The configuration is about to be read again; [`Manager::ready`] follows.
    pub(super) fn reloading(&self) {
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={}", Clock::monotonic_microseconds()));
    }

    /// The mount is about to end.
    pub(super) fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=Answering requests in flight");
    }

    /// How it goes, in a sentence.
    pub(super) fn status(&self, sentence: &str) {
        self.say(&format!("STATUS={sentence}"));
    }

    /// Requests are still answered.
    pub(super) fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    fn say(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(message.as_bytes())
            && !self.is_deaf.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "the service manager cannot be notified");
        }
    }
}

/// The watchdog's time, where this process is the one watched.
fn watchdog_period(variable: &dyn Fn(&str) -> Option<OsString>, pid: u32) -> Option<Duration> {
    let is_ours = number(variable, "WATCHDOG_PID").is_none_or(|watched| watched == u64::from(pid));
    let period = number(variable, "WATCHDOG_USEC").filter(|&period| period > 0 && is_ours)?;
    Some(Duration::from_micros(period))
}

fn number(variable: &dyn Fn(&str) -> Option<OsString>, name: &str) -> Option<u64> {
    variable(name)?.to_str()?.parse().ok()
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let address = match address.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A manager that does not read must not hold us.
    socket.set_write_timeout(Some(Duration::from_secs(5)))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    fn check(socket: &UnixDatagram, address: OsString) {
        let variable = move |name: &str| match name {
            "NOTIFY_SOCKET" => Some(address.clone()),
            "WATCHDOG_USEC" => Some("3000000".into()),
            _ => None,
        };
        let manager = Manager::from_environment(&variable);
        assert_eq!(manager.watchdog(), Some(Duration::from_millis(1500)));
        manager.ready("oss://b/a\nSTOPPING=1");
        assert_eq!(heard(socket), "READY=1\nSTATUS=Serving oss://b/aSTOPPING=1");
        manager.alive();
        assert_eq!(heard(socket), "WATCHDOG=1");
        manager.reloading();
        let said = heard(socket);
        let at: u64 = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!(at <= Clock::monotonic_microseconds());
        manager.stopping();
        assert!(heard(socket).starts_with("STOPPING=1\n"));
    }

    #[test]
    fn a_manager_hears_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        check(&UnixDatagram::bind(&path).unwrap(), path.into());
        let name = format!("ossmount-notify-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        check(&socket, format!("@{name}").into());
    }

    #[test]
    fn without_a_manager_nothing_is_said() {
        for address in [None, Some(""), Some("/nowhere/at/all")] {
            let manager = Manager::from_environment(&|name| match name {
                "NOTIFY_SOCKET" => address.map(OsString::from),
                _ => None,
            });
            assert!(manager.socket.is_none() && manager.watchdog().is_none(), "{address:?}");
            manager.ready("oss://b");
        }
    }

    #[test]
    fn the_watchdog_of_another_process_is_not_ours() {
        let given = |pid: &'static str, usec: &'static str| {
            move |name: &str| match name {
                "WATCHDOG_PID" => Some(pid.into()),
                "WATCHDOG_USEC" => Some(usec.into()),
                _ => None,
            }
        };
        assert_eq!(watchdog_period(&given("7", "10"), 7), Some(Duration::from_micros(10)));
        assert_eq!(watchdog_period(&given("8", "10"), 7), None);
        assert_eq!(watchdog_period(&given("7", "0"), 7), None);
        assert_eq!(watchdog_period(&given("7", "soon"), 7), None);
    }
}
