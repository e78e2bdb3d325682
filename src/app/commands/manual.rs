//! `ossmount manual [PAGE]`: prints a page of the manual, in Markdown.

use clap::{Arg, ArgMatches, Command};

use super::text::Output;
use crate::config::{self, Problem, Result};
use crate::manual::{CONTENTS, ManualPage, PAGES};

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
        let hint = config::hint(plain, PAGES.iter().map(|page| page.name));
        let hint = if hint.is_empty() { "; ossmount manual lists the pages".to_owned() } else { hint };
        Problem::usage(format!("the manual has no page {name:?}{hint}"))
    })
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
            ("zzz", "the manual has no page \"zzz\"; ossmount manual lists the pages"),
        ] {
            let problem = page(name).unwrap_err();
            assert_eq!((problem.sentence.as_str(), problem.code()), (says, 2));
        }
    }
}
