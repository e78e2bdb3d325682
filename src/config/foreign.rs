//! Options of other clients, and what each is here: for the answer to one that is unknown, and for the manual's page
//! on migrating, whose tables are printed from these rows.
//!
//! An option has one answer, whichever client it comes from. Where an option of another client has the name of one of
//! ours, ours is taken; its row is for the page.

use super::foreign_rows::{Client, ForeignRow, Ours, ROWS};
use super::table::{Row, TABLE};
use super::value::Kind;

/// How the options in an answer are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spelling {
    /// With `--` in front, as flags.
    Flags,
    /// By their names alone, as after `-o` and in files.
    Names,
}

/// What to say of an unknown option after naming it: a phrase that begins with a semicolon or colon. Empty where the
/// option is one of no known client.
pub fn answer(option: &str, spelling: Spelling) -> String {
    let plain = plain_name(option);
    let rows: Vec<&ForeignRow> = ROWS.iter().filter(|row| row.options().any(|held| is_same(held, &plain))).collect();
    let Some(first) = rows.first() else { return turned_off(&plain, spelling) };
    let mut clients: Vec<&str> = rows.iter().map(|row| row.client.title()).collect();
    clients.dedup();
    let from = match &clients[..] {
        [one] => (*one).to_owned(),
        [one, two] => format!("{one} and {two}"),
        [one, two, ..] => format!("{one}, {two} and others"),
        [] => String::new(),
    };
    let says = match first.ours {
        Ours::Use(text) => format!("write {text}"),
        Ours::Unneeded(why) => format!("leave it out: {why}"),
        Ours::Missing(why) => format!("ossmount has nothing like it: {why}"),
    };
    spelt(&format!(" is an option of {from}; {says}"), spelling)
}

/// The rows of a client as a Markdown table.
pub fn migration_table(client: Client) -> String {
    let mut table = format!("| {} | here |\n|---|---|\n", client.title());
    for row in ROWS.iter().filter(|row| row.client == client) {
        let options: Vec<String> = row.options().map(|option| format!("`{option}`")).collect();
        table.push_str(&format!("| {} | {} |\n", options.join(", "), row.ours.cell()));
    }
    table
}

/// An option as rows are compared: without dashes in front, in small letters, `-` for `_`.
fn plain_name(option: &str) -> String {
    option.trim_start_matches('-').to_ascii_lowercase().replace('_', "-")
}

/// Whether an option of a row is meant; hyphens are forgotten easily.
fn is_same(held: &str, plain: &str) -> bool {
    let joined = |text: &str| text.replace('-', "");
    joined(&plain_name(held)) == joined(plain)
}

/// The answer to `no-x`, `disable-x` and the like, where `x` is an option that can be off.
fn turned_off(plain: &str, spelling: Spelling) -> String {
    let can_be_off = |row: &Row| match row.kind {
        Kind::Switch => true,
        Kind::Choice(words) => words.contains(&"off"),
        _ => false,
    };
    let rest = ["no-", "disable-", "without-", "no"].iter().find_map(|before| plain.strip_prefix(before));
    let row = rest.and_then(|rest| TABLE.iter().find(|row| row.name == rest && can_be_off(row)));
    match (row, spelling) {
        (Some(row), Spelling::Flags) => format!(": there is no such option; write --{}=off", row.name),
        (Some(row), Spelling::Names) => format!(": there is no such option; write {}=off", row.name),
        (None, _) => String::new(),
    }
}

/// Markdown as plain text.
fn spelt(markdown: &str, spelling: Spelling) -> String {
    let text = match spelling {
        Spelling::Flags => markdown.to_owned(),
        Spelling::Names => markdown.replace("`--", "`"),
    };
    text.replace('`', "")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn each_client_has_rows_and_no_option_stands_twice() {
        for client in Client::ALL {
            let rows = ROWS.iter().filter(|row| row.client == *client);
            let mut options: Vec<_> = rows.flat_map(ForeignRow::options).map(plain_name).collect();
            let count = options.len();
            options.sort_unstable();
            options.dedup();
            assert!(count == options.len() && count > 5, "{client:?}: {count} options, {} names", options.len());
        }
    }

    #[test]
    fn an_option_has_one_answer() {
        let mut answers: BTreeMap<String, Vec<(Client, Ours)>> = BTreeMap::new();
        for row in ROWS {
            for option in row.options() {
                answers.entry(plain_name(option).replace('-', "")).or_default().push((row.client, row.ours));
            }
        }
        for (option, given) in answers {
            assert!(given.iter().all(|(_, ours)| *ours == given[0].1), "{option}: {given:#?}");
        }
    }

    /// Options in backticks that begin with two dashes are ours, or of the commands that the text names.
    #[test]
    fn answers_name_options_that_exist() {
        for row in ROWS {
            let (Ours::Use(text) | Ours::Unneeded(text) | Ours::Missing(text)) = row.ours;
            assert!(!text.is_empty() && !text.ends_with('.'), "{row:?}");
            for word in text.split('`').skip(1).step_by(2).filter_map(|word| word.strip_prefix("--")) {
                let name = word.split([' ', '=']).next().unwrap();
                let exists = TABLE.iter().any(|held| held.name == name) || name == "config";
                assert!(exists, "{name} in {text:?}");
            }
        }
    }

    #[test]
    fn options_of_others_are_answered_in_one_sentence() {
        for (option, spelling, says) in [
            ("--read-only", Spelling::Flags, "leave it out: mounts are read-only"),
            ("readonly", Spelling::Names, "leave it out: mounts are read-only"),
            ("max_read", Spelling::Names, " is an option of libfuse; leave it out"),
            ("--vfs-cache-mode", Spelling::Flags, " is an option of rclone; "),
            ("allow_delete", Spelling::Names, " is an option of Mountpoint; ossmount has nothing like it: "),
            ("stat_cache_expire", Spelling::Names, " is an option of ossfs 1.x and s3fs; write metadata-ttl"),
            ("stat_cache_expire", Spelling::Flags, "write --metadata-ttl"),
            ("--no-verify", Spelling::Flags, "; write --verify=off"),
            ("nopassthrough", Spelling::Names, "; write passthrough=off"),
            ("--disable-keep-page-cache", Spelling::Flags, "; write --keep-page-cache=off"),
        ] {
            let said = answer(option, spelling);
            assert!(said.contains(says), "{option}: {said}");
            assert!(!said.contains(['`', '\n', '.']) || said.contains("ossfs 1.x"), "{option}: {said}");
        }
        for option in ["", "-", "zzz", "part-sise", "no-region", "nothing"] {
            assert_eq!(answer(option, Spelling::Flags), "", "{option}");
        }
    }
}
