//! Gathers the options of one command: files, environment, words after `-o`, flags.

use std::path::{Path, PathBuf};

use clap::ArgMatches;

use super::variable;
use crate::config::{self, Caller, Raw, Result, Words};

/// Everything that was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) raw: Raw,
    pub(super) words: Words,
}

/// Gathers what a command's line, environment and files say.
pub(super) fn gather(matches: &ArgMatches, caller: Caller) -> Result<Given> {
    let mut raw = Raw::default();
    let named = matches.try_get_one::<String>("config").ok().flatten().map(PathBuf::from);
    match named.or_else(|| variable("OSSMOUNT_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)) {
        Some(path) => raw.read_file(&std::path::absolute(&path).unwrap_or(path))?,
        None => {
            for path in config::standard_files(&variable) {
                raw.read_file_if_there(Path::new(&path))?;
            }
        }
    }
    raw.read_environment(&variable)?;
    let mut words = Words::default();
    for list in matches.try_get_many::<String>("words").ok().flatten().into_iter().flatten() {
        words.read(list, &mut raw, caller)?;
    }
    config::collect(&mut raw, matches)?;
    Ok(Given { raw, words })
}
