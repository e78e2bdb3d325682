//! Gathers the options of one command: files, environment, words after `-o`, flags.

use std::path::PathBuf;

use clap::ArgMatches;

use crate::app::variable;
use crate::config::{self, Caller, Found, Raw, Result, Words};

/// Everything that was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) raw: Raw,
    pub(super) words: Words,
    /// The files that were looked for, weakest first.
    pub(super) files: Vec<(PathBuf, Found)>,
}

/// Where the options of a command are given, to be read as often as need be.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    matches: ArgMatches,
    caller: Caller,
    files: Files,
    /// Where the command was given; unknown where that directory is gone.
    directory: Option<PathBuf>,
}

/// Files, absolute: a daemon leaves the directory it was started in.
#[derive(Clone, Debug)]
enum Files {
    /// This one, which must exist.
    Named(PathBuf),
    /// The standard ones, those that exist.
    Standard(Vec<PathBuf>),
}

impl Sources {
    /// Those of a command's line.
    pub(super) fn of(matches: &ArgMatches, caller: Caller) -> Sources {
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let flag = matches.try_get_one::<String>("config").ok().flatten().map(PathBuf::from);
        let named = flag.or_else(|| variable("OSSMOUNT_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from));
        let files = match named {
            Some(path) => Files::Named(absolute(path)),
            None => Files::Standard(config::standard_files(&variable).into_iter().map(absolute).collect()),
        };
        Sources { matches: matches.clone(), caller, files, directory: std::env::current_dir().ok() }
    }

    /// Reads all of the sources.
    pub(super) fn read(&self) -> Result<Given> {
        let mut raw = Raw::default();
        if let Some(directory) = &self.directory {
            raw.set_directory(directory.clone());
        }
        let mut files = Vec::new();
        match &self.files {
            Files::Named(path) => {
                raw.read_file(path)?;
                files.push((path.clone(), Found::Read));
            }
            Files::Standard(paths) => {
                for path in paths {
                    files.push((path.clone(), raw.read_file_if_there(path)?));
                }
            }
        }
        raw.read_environment(&variable)?;
        let mut words = Words::default();
        for list in self.matches.try_get_many::<String>("words").ok().flatten().into_iter().flatten() {
            words.read(list, &mut raw, self.caller)?;
        }
        config::collect(&mut raw, &self.matches)?;
        Ok(Given { raw, words, files })
    }
}

/// Gathers what a command's line, environment and files say.
pub(super) fn gather(matches: &ArgMatches, caller: Caller) -> Result<Given> {
    Sources::of(matches, caller).read()
}
