//! The table in print: `config/default.json`, and the tables of the manual and the README.

use super::table::{Group, Standing, TABLE};

/// Every option with its default; options without one are null.
pub fn default_json() -> String {
    let line = |row: &super::Row| match row.standing {
        Standing::Default("on") => format!("  \"{}\": true", row.name),
        Standing::Default("off") if row.kind == super::Kind::Switch => format!("  \"{}\": false", row.name),
        Standing::Default(text) => format!("  \"{}\": \"{text}\"", row.name),
        Standing::Unset(_) => format!("  \"{}\": null", row.name),
    };
    let lines: Vec<String> = TABLE.iter().map(line).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// The options of these groups as a Markdown table.
pub fn markdown_table(groups: &[Group]) -> String {
    let mut text = "| option | takes | default | what it does |\n|---|---|---|---|\n".to_owned();
    for row in TABLE.iter().filter(|row| groups.contains(&row.group)) {
        let default = match row.standing {
            Standing::Default(text) => format!("`{text}`"),
            Standing::Unset(text) => text.to_owned(),
        };
        let takes = row.kind.placeholder().replace('|', " ");
        text.push_str(&format!("| `{}` | {takes} | {default} | {} |\n", row.name, row.help));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Raw;

    #[test]
    fn the_default_file_is_one_that_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("default.json");
        std::fs::write(&path, default_json()).unwrap();
        let mut raw = Raw::default();
        raw.read_file(Path::new(&path)).unwrap();
        for row in TABLE {
            assert_eq!(raw.text(row.key), row.default(), "{}", row.name);
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_option() {
        assert_eq!(markdown_table(Group::ALL).lines().count(), TABLE.len() + 2);
        assert!(markdown_table(&[Group::Credentials]).contains("| `credentials-file` | PATH | none |"));
    }
}
