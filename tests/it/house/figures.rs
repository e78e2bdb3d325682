//! Where figures are named outside of the code they are named as the table has them: the manual, the dashboard, the
//! alerts. `UPDATE_EXPECT=1` writes the manual's table anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use expect_test::expect_file;
use ossmount::metrics::{Family, PREFIX, Shape, families};

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn row(family: &Family) -> String {
    let shape = match family.shape {
        Shape::Counter => "counter",
        Shape::Gauge => "gauge",
        Shape::Histogram => "histogram",
    };
    let values: Vec<_> = family.labels.iter().filter_map(|label| label.split_once('=')).collect();
    let by = match values.first() {
        Some((name, _)) => {
            let values: Vec<_> = values.iter().map(|(_, value)| value.trim_matches('"')).collect();
            format!("{name}: {}", values.join(" "))
        }
        None => String::new(),
    };
    format!("| `{}` | {shape} | {by} | {} |\n", family.name, family.meaning)
}

#[test]
fn the_manual_has_every_figure() {
    const BEGIN: &str = "<!-- figures: printed from the table in the code -->\n";
    const END: &str = "<!-- end of figures -->\n";
    let manual = text("docs/manual/monitoring.md");
    let (before, rest) = manual.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let rows: String = families().iter().map(row).collect();
    let info = "| `info` | gauge | source directory version | What is served, and by which version; always 1. |\n";
    let table = format!("| name | kind | by | meaning |\n|---|---|---|---|\n{rows}{info}");
    expect_file!["../../../docs/manual/monitoring.md"].assert_eq(&format!("{before}{BEGIN}\n{table}\n{END}{after}"));
}

/// The figures that a text names.
fn named(text: &str) -> BTreeSet<&str> {
    let starts = text.match_indices(PREFIX).filter(|(at, _)| !text[..*at].ends_with(|c: char| c.is_alphanumeric()));
    let word = |rest: &str| rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
    starts.map(|(at, _)| &text[at + PREFIX.len()..]).map(|rest| &rest[..word(rest)]).collect()
}

#[test]
fn the_dashboard_and_the_alerts_name_only_what_there_is() {
    let mut known: BTreeSet<String> = ["info".to_owned()].into();
    for family in families() {
        match family.shape {
            Shape::Histogram => known.extend(["bucket", "sum", "count"].map(|part| format!("{}_{part}", family.name))),
            Shape::Counter | Shape::Gauge => drop(known.insert(family.name.to_owned())),
        }
    }
    for (path, least) in [("packaging/grafana/ossmount.json", 30), ("packaging/prometheus/ossmount.rules.yml", 8)] {
        let text = text(path);
        let named = named(&text);
        assert!(named.len() >= least, "{path} names only {named:?}");
        let unknown: Vec<_> = named.iter().filter(|name| !known.contains(**name)).collect();
        assert!(unknown.is_empty(), "{path}: there is no {unknown:?}");
    }
}

#[test]
fn the_dashboard_is_whole() {
    let board: serde_json::Value = serde_json::from_str(&text("packaging/grafana/ossmount.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has a number of its own");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty() && targets.iter().all(|target| target["expr"].is_string()), "{}", panel["title"]);
    }
}

#[test]
fn names_are_found_in_expressions() {
    let text = r#"rate(ossmount_reads_total{x="1"}[5m]) / ossmount_info, and job="ossmount""#;
    assert_eq!(named(text), ["info", "reads_total"].into());
}
