//! What is printed from the option table equals the copies that are committed: `config/default.json`, the manual's
//! table, the README's excerpt. `UPDATE_EXPECT=1` writes them anew.

use std::fs;

use expect_test::expect_file;
use ossmount::config::{Client, Group, TABLE, default_json, markdown_table, migration_table};

#[test]
fn the_default_file_is_the_tables() {
    expect_file!["../../../config/default.json"].assert_eq(&default_json());
}

#[test]
fn the_manual_has_the_table() {
    let mut text = String::from(
        "# Options\n\
         \n\
         Look up each option with its values, its default and its effect.\n\
         \n\
         A flag has `--` in front of the name, a variable is `OSSMOUNT_<NAME>` in capitals with `_`; after `-o` and in the\n\
         configuration file the name is used as it is. [configuration](configuration.md) has the order of precedence,\n\
         [defaults](defaults.md) the reasons for the defaults.\n\
         \n\
         The tables are printed from `src/config/table.rs`; a test compares them.\n",
    );
    for group in Group::ALL {
        text.push_str(&format!("\n## {}\n\n{}", group.title(), markdown_table(&[*group])));
    }
    expect_file!["../../../docs/manual/options.md"].assert_eq(&text);
}

/// The text with what stands between the marks of each client replaced by the client's table.
#[test]
fn the_page_on_migrating_has_the_tables_of_other_clients() {
    let mut text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/manual/migrating.md")).unwrap();
    for client in Client::ALL {
        let begin = format!("<!-- options of {}: printed from the table in the code -->\n", client.title());
        let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("there is no {begin:?}"));
        let (_, after) = rest.split_once("<!-- end of options -->\n").unwrap();
        text = format!("{before}{begin}\n{}\n<!-- end of options -->\n{after}", migration_table(*client));
    }
    expect_file!["../../../docs/manual/migrating.md"].assert_eq(&text);
}

#[test]
fn the_readme_has_an_excerpt() {
    const BEGIN: &str = "<!-- options: printed from the table in the code -->\n";
    const SHOWN: [&str; 10] = [
        "endpoint",
        "region",
        "internal",
        "credentials-file",
        "memory-limit",
        "prefetch",
        "metadata-ttl",
        "listing",
        "allow-other",
        "log-file",
    ];
    const END: &str = "<!-- end of options -->\n";
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let all = markdown_table(Group::ALL);
    let is_shown = |line: &&str| SHOWN.iter().any(|name| line.starts_with(&format!("| `{name}` |")));
    let rows: Vec<&str> = all.lines().take(2).chain(all.lines().filter(is_shown)).collect();
    assert_eq!(rows.len(), 2 + SHOWN.len());
    let table = format!("{}\n", rows.join("\n"));
    expect_file!["../../../README.md"].assert_eq(&format!("{before}{BEGIN}{table}{END}{after}"));
}

#[test]
fn help_shows_every_option() {
    let help = ossmount::app::help_page("mount").unwrap();
    for row in TABLE {
        assert!(help.contains(&format!("--{}", row.name)), "{}", row.name);
    }
    assert!(ossmount::app::help_page("demo").unwrap().contains("--part-size"));
    assert!(!ossmount::app::help_page("ls").unwrap().contains("--part-size"));
}
