//! The signals that the process handles.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Problem, Result};

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::app) enum Wish {
    /// SIGTERM, SIGINT: finish what is under way and end.
    End,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: end, and leave the mount to the next life.
    HandOver,
    /// SIGUSR2: the next log level.
    NextLevel,
}

/// The signals, caught from now on.
pub(in crate::app) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    hand_over: Signal,
    user: Signal,
}

impl Signals {
    /// Catches the signals. Must be called within a runtime.
    pub(in crate::app) fn catch() -> Result<Self> {
        let catch = |kind| signal(kind).map_err(|error| Problem::failure(format!("signals cannot be caught: {error}")));
        Ok(Signals {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            hangup: catch(SignalKind::hangup())?,
            hand_over: catch(SignalKind::user_defined1())?,
            user: catch(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.hangup.recv() => Wish::Reload,
            _ = self.hand_over.recv() => Wish::HandOver,
            _ = self.user.recv() => Wish::NextLevel,
        }
    }

    /// Waits for the wish to end or to hand over, passing over the others; for a life that has not begun to serve.
    pub(in crate::app) async fn end_or_hand_over(&mut self) -> Wish {
        loop {
            match self.next().await {
                wish @ (Wish::End | Wish::HandOver) => return wish,
                Wish::Reload | Wish::NextLevel => {}
            }
        }
    }

    /// Waits for the wish to end, passing over the others.
    pub(in crate::app) async fn end(&mut self) {
        while self.next().await != Wish::End {}
    }
}
