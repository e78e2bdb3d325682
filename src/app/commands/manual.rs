//! `ossmount manual [PAGE]`: prints a page of the manual, in Markdown.

use clap::{Arg, ArgMatches, Command};

use super::text::Output;
use crate::config::{self, Problem, Result};
use crate::manual::{CONTENTS, ManualPage, PAGES};

/// How many pages are named where several are about a word.
const MOST_PAGES: usize = 5;

pub(in crate::app) fn command() -> Command {
    Command::new("manual").about("Print a page of the manual, or the list of its pages").arg(
        Arg::new("page").value_name("PAGE").help("The name of the page, as in semantics; without it, all are listed"),
    )
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let text = match matches.get_one::<String>("page") {
        Some(name) => page(name)?.text,
        None => CONTENTS,
    };
    let mut out = Output::new();
    out.write(text.as_bytes()).map(drop)
}

/// The page of this name. `quick_start` and `quick-start.md` are taken for `quick-start`.
fn page(name: &str) -> Result<&'static ManualPage> {
    let plain = name.to_ascii_lowercase().replace('_', "-");
    let plain = plain.strip_suffix(".md").unwrap_or(&plain);
    PAGES.iter().find(|page| page.name == plain).ok_or_else(|| {
        let hint = match (about(plain), config::hint(plain, PAGES.iter().map(|page| page.name))) {
            (about, _) if !about.is_empty() => format!("; see {}", about.join(", ")),
            (_, hint) if !hint.is_empty() => hint,
            _ => "; ossmount manual lists the pages".to_owned(),
        };
        Problem::usage(format!("the manual has no page {name:?}{hint}"))
    })
}

/// The first pages that have this word in a heading.
fn about(word: &str) -> Vec<&'static str> {
    let has_word = |heading: &str| {
        let mut words = heading.split(|c: char| !c.is_alphanumeric());
        words.any(|part| part.eq_ignore_ascii_case(word))
    };
    // Every other stretch between fences is an example, where # begins a comment.
    let headings = |page: &'static ManualPage| {
        let prose = page.text.split("```").step_by(2);
        prose.flat_map(str::lines).filter(|line| line.starts_with('#'))
    };
    PAGES.iter().filter(|page| headings(page).any(has_word)).map(|page| page.name).take(MOST_PAGES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_found_by_name_and_mistakes_are_told() {
        for name in ["quick-start", "quick_start", "Quick-Start.md"] {
            assert_eq!(page(name).unwrap().name, "quick-start");
        }
        for (name, says) in [
            ("semantic", "the manual has no page \"semantic\"; did you mean \"semantics\"?"),
            ("fstab", "the manual has no page \"fstab\"; see install, running, service, migrating"),
            ("zzz", "the manual has no page \"zzz\"; ossmount manual lists the pages"),
        ] {
            let problem = page(name).unwrap_err();
            assert_eq!((problem.sentence.as_str(), problem.code()), (says, 2));
        }
    }
}
