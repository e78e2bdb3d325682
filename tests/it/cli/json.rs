//! What the commands print with `--json`: names in snake case, numbers as numbers, and one name for one thing.

use std::collections::BTreeMap;

use ossmount::metrics::TABLE as MEASURED;
use serde_json::Value;

use crate::support::program::{Target, Tool, server};

/// What stands for the whole in one place and for a part with details in another: a sum and how much of it is done, the URL
/// of a mount and the ends of a copy, a number of failures and their list, what is known of listings and whether one runs.
const BY_PLACE: [&str; 6] = ["bytes", "objects", "source", "destination", "failures", "listing"];

/// Adds the type of each field below a value, by its name, and the places that have it.
fn walk(command: &str, value: &Value, found: &mut BTreeMap<String, BTreeMap<&'static str, String>>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let kind = match value {
                    Value::Null => None,
                    Value::Bool(_) => Some("truth"),
                    Value::Number(_) => Some("number"),
                    Value::String(_) => Some("text"),
                    Value::Array(_) => Some("list"),
                    Value::Object(_) => Some("object"),
                };
                // Names of user metadata, hosts and storage classes are those of others.
                let is_ours = !name.starts_with("meta.") && !name.contains(':') && name != "Standard";
                if let Some(kind) = kind.filter(|_| is_ours) {
                    found.entry(name.clone()).or_default().entry(kind).or_insert_with(|| command.to_owned());
                }
                if let Some(text) = value.as_str() {
                    let is_number = text.parse::<i64>().is_ok();
                    // Numbers beyond 2^53, which readers of JSON round, are texts. Values of options are as they are written.
                    let may_be = ["crc64", "value", "given", "etag", "version_id", "metadata"].contains(&name.as_str());
                    assert!(!is_number || may_be, "{command}: {name} is a number in quotes: {text}");
                }
                walk(command, value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| walk(command, value, found)),
        _ => {}
    }
}

#[test]
fn names_are_in_snake_case_and_have_one_type_in_all_commands() {
    let server = server();
    server.create_bucket("other");
    server.put("bucket", "large", vec![7; 3 << 20]);
    let tool = Tool::for_server(&server);
    let target = Target::new();
    target.mount(&tool, "oss://bucket", &[]).ok();
    let path = |below: &str| target.path(below).to_str().unwrap().to_owned();
    std::fs::read(path("large")).unwrap();
    let (file, local) = (path("a.txt"), target.beside("local"));
    let parts = ["--copy-part-size=1MiB", "--copy-threshold=1MiB"];
    let commands: [&[&str]; 16] = [
        &["status", "--json"],
        &["status", "--json", target.dir()],
        &["stat", "--json", "oss://bucket/a.txt"],
        &["stat", "--json", "s3://bucket/dir"],
        &["stat", "--json", &file],
        &["ls", "--json", "oss://bucket"],
        &["ls", "--json", "oss://"],
        &["ls", "--json", target.dir()],
        &["ls", "-r", "--summary", "--json", "oss://bucket"],
        &["log", "--json", "oss://bucket/a.txt"],
        &["config", "--json", "oss://bucket"],
        &["cp", "--json", "oss://bucket/large", "oss://other/", parts[0], parts[1]],
        &["cp", "-r", "--json", "oss://bucket/dir", "oss://other/dir"],
        &["cp", "-r", "--json", "oss://bucket/dir", local.to_str().unwrap()],
        &["prefetch", "--json", "--wait", &path("large")],
        &["jobs", "--json", target.dir()],
    ];
    let mut found = BTreeMap::new();
    for command in commands {
        let said = tool.run(command).ok().stdout;
        assert!(!said.is_empty(), "{command:?}");
        for line in said.lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            walk(&command.join(" "), &value, &mut found);
        }
    }
    assert!(found.len() > 100, "{}", found.len());
    let manual = ["json", "monitoring"]
        .map(|page| std::fs::read_to_string(format!("{}/docs/manual/{page}.md", env!("CARGO_MANIFEST_DIR"))).unwrap());
    let is_described =
        |name: &str| manual[0].contains(&format!("`{name}`")) || MEASURED.iter().any(|row| row.name == name);
    let missing: Vec<&String> = found.keys().filter(|name| !is_described(name)).collect();
    assert_eq!(missing, [""; 0], "fields that the manual's page on JSON does not have");
    assert!(manual[1].contains("\n## Figures\n"), "where the page on JSON sends readers for figures");
    for (name, kinds) in &found {
        let is_snake = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        assert!(is_snake, "{name}: {kinds:?}");
        assert!(kinds.len() == 1 || BY_PLACE.contains(&name.as_str()), "{name} has several types: {kinds:?}");
    }
}
