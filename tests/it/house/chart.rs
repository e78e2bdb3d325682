//! The Helm chart follows the program: its version, the options that it gives, and the paths that it probes.

use std::fs;

use ossmount::config::TABLE;

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart = read("packaging/helm/ossmount/Chart.yaml");
    for field in ["version", "appVersion"] {
        let line = format!("\n{field}: {}\n", env!("CARGO_PKG_VERSION"));
        assert!(chart.contains(&line), "{field} in {chart}");
    }
}

#[test]
fn the_chart_gives_options_that_exist() {
    let template = read("packaging/helm/ossmount/templates/daemonset.yaml");
    let given = template.lines().filter_map(|line| line.trim().strip_prefix("- --"));
    let names: Vec<&str> = given.map(|rest| rest.split(['=', ' ']).next().unwrap()).collect();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        assert!(TABLE.iter().any(|row| row.name == name), "{name}");
    }
    for path in ["/readyz", "/healthz"] {
        assert!(template.contains(&format!("path: {path},")), "{path}");
    }
    let values = read("packaging/helm/ossmount/values.yaml");
    let options = values.split("    options:\n").nth(1).unwrap().lines().take_while(|line| line.starts_with("      "));
    for name in options.map(|line| line.trim().split(':').next().unwrap()) {
        assert!(TABLE.iter().any(|row| row.name == name), "{name}");
    }
}
