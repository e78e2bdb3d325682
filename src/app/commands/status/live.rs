//! The live view: samples the figures of a mount once a second and draws them.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::figures;
use super::terminal::{Event, Terminal};
use super::view::{self, Look};
use crate::base::Clock;
use crate::config::{Problem, Result};
use crate::control::Stats;

/// How often the mount is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Shows the mount that a path lies under until the user ends that, or it does not answer any more.
pub(super) fn run(dir: &Path) -> Result<()> {
    let clock = Clock::system();
    let look = || Ok(Look { at: clock.elapsed(), figures: figures(dir, Stats { files: true })? });
    let mut now = look()?;
    let terminal = Terminal::take().map_err(|error| lost(&error))?;
    let mut before: Option<Look> = None;
    loop {
        let (_, rows) = terminal.size();
        let lines = view::lines(before.as_ref().unwrap_or(&now), &now, rows);
        terminal.show(&lines).map_err(|error| lost(&error))?;
        let passed = clock.elapsed().saturating_sub(now.at);
        match terminal.wait(EVERY.saturating_sub(passed)).map_err(|error| lost(&error))? {
            Event::End => return Ok(()),
            Event::Redraw => {}
            Event::TimePassed => before = Some(std::mem::replace(&mut now, look()?)),
        }
    }
}

fn lost(error: &io::Error) -> Problem {
    Problem::failure(format!("the terminal cannot be used: {error}; --json prints the figures once"))
}
