//! The live view: samples the figures of a mount once a second and draws them.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::figures;
use super::look::Look;
use super::paint::ScreenStyle;
use super::terminal::{Event, Terminal};
use super::view::{self, Curves};
use crate::app::commands::{ask::Line, jobs};
use crate::base::Clock;
use crate::config::{Problem, Result};
use crate::control::Stats;

/// How often the mount is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Shows the mount that a path lies under until the user ends that, or it does not answer any more.
pub(super) fn run(dir: &Path) -> Result<()> {
    let clock = Clock::system();
    let mut now = look(dir, &clock)?;
    let terminal = Terminal::take().map_err(|error| lost(&error))?;
    let (mut before, mut curves): (Option<Look>, _) = (None, Curves::default());
    loop {
        let style = ScreenStyle::of(terminal.size());
        let lines = view::lines(&curves, (before.as_ref().unwrap_or(&now), &now), style);
        let drawn: Vec<String> = lines.iter().map(|line| line.drawn(style)).collect();
        terminal.show(&drawn).map_err(|error| lost(&error))?;
        let passed = clock.elapsed().saturating_sub(now.at);
        match terminal.wait(EVERY.saturating_sub(passed)).map_err(|error| lost(&error))? {
            Event::End => return Ok(()),
            Event::Redraw => {}
            Event::TimePassed => {
                let last = std::mem::replace(&mut now, look(dir, &clock)?);
                curves.take(&last, &now);
                before = Some(last);
            }
        }
    }
}

/// The figures with the files, and with the jobs where some are under way.
fn look(dir: &Path, clock: &Clock) -> Result<Look> {
    let mut look = Look { at: clock.elapsed(), figures: figures(dir, Stats { files: true })? };
    for kind in ["prefetch", "copy"] {
        if look.number(&format!("/jobs/{kind}/running")) > 0 {
            look.figures["job-lists"][kind] = json!(jobs::of(&mut Line::to(dir)?, kind)?);
        }
    }
    Ok(look)
}

fn lost(error: &io::Error) -> Problem {
    Problem::failure(format!("the terminal cannot be used: {error}; --json prints the figures once"))
}
