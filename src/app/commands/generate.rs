//! `ossmount generate DIR`: the files of a package that follow from the command line, so that none of them is kept by
//! hand: manual pages and completions for shells.

use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgMatches, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{completions, mount, sections};
use crate::app::args::Form;
use crate::config::{self, Group, Problem, Result};

/// What every manual page says at its foot.
const SOURCE: &str = concat!("ossmount ", env!("CARGO_PKG_VERSION"));

pub(in crate::app) fn command() -> Command {
    Command::new("generate").about("Write manual pages and completions for shells, for packages").hide(true).arg(
        Arg::new("dir")
            .value_name("DIR")
            .required(true)
            .value_parser(PathBufValueParser::new())
            .help("Gets man/*.1, man/*.5, man/*.8, bash/, zsh/ and fish/"),
    )
}

/// Writes the files of a program with this command line.
pub(in crate::app) fn run(matches: &ArgMatches, whole: Command) -> Result<()> {
    let Some(dir) = matches.get_one::<PathBuf>("dir") else { return Err(Problem::usage("which DIR?")) };
    write_all(dir, whole).map_err(|error| Problem::failure(format!("{} cannot be written: {error}", dir.display())))
}

fn write_all(dir: &Path, mut whole: Command) -> std::io::Result<()> {
    for (path, text) in completions::of(&whole) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap_or(dir))?;
        fs::write(path, text)?;
    }
    let pages = dir.join("man");
    fs::create_dir_all(&pages)?;
    whole.build();
    for command in whole.get_subcommands() {
        let name = format!("ossmount-{}", command.get_name());
        write_page(&pages, &name, "1", command.clone().name(name.clone()))?;
    }
    write_page(&pages, "ossmount", "1", whole.clone())?;
    let helper = mount::command(Form::Helper).name("mount.ossmount").bin_name("mount.ossmount");
    write_page(&pages, "mount.ossmount", "8", helper)?;
    fs::write(pages.join("ossmount.json.5"), file_page())
}

fn write_page(folder: &Path, name: &str, section: &str, command: Command) -> std::io::Result<()> {
    let usage = plain_usage(&command);
    let has_subcommands = command.has_subcommands();
    let page = Man::new(command).title(name.to_uppercase()).section(section).source(SOURCE).manual("ossmount");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    // The generator's own synopsis names every option.
    let mut synopsis = Roff::default();
    synopsis.control("SH", ["SYNOPSIS"]);
    synopsis.text([roman(usage)]);
    text.extend(synopsis.to_roff().as_bytes());
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if has_subcommands {
        page.render_subcommands_section(&mut text)?;
    }
    text.extend(sections::of(name).to_roff().as_bytes());
    fs::write(folder.join(format!("{name}.{section}")), text)
}

/// How a command is called, on one line.
fn plain_usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage:").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The configuration file's own page, printed from the table.
fn file_page() -> String {
    let mut page = Roff::default();
    page.control("TH", ["OSSMOUNT.JSON", "5", "", SOURCE, "ossmount"]);
    page.control("SH", ["NAME"]);
    page.text([roman("ossmount.json - options of ossmount(1)")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "One JSON object whose keys are the names of options. Read from /etc/ossmount/config.json and then \
         ~/.config/ossmount/config.json, or from the file that --config names. Sizes take KiB, MiB and GiB (2GiB, 2Gi and \
         2G are the same), times ms, s, m and h, or none for seconds; switches are true or false. The environment (OSSMOUNT_<NAME>), -o and flags take precedence. \
         Unknown and repeated keys are errors. ossmount config shows the effective values and their sources.",
    )]);
    for group in Group::ALL {
        page.control("SH", [group.title().to_uppercase().as_str()]);
        for row in config::TABLE.iter().filter(|row| row.group == *group) {
            page.control("TP", []);
            page.text([bold(row.name), roman(format!(" {} [{}]", row.kind.placeholder(), row.standing.text()))]);
            page.text([roman(row.help)]);
        }
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([roman("ossmount(1), ossmount-mount(1), ossmount-config(1), mount.ossmount(8)")]);
    page.render()
}
