//! The manual's example in C, compiled and run as it stands there.

use std::process::Command;

use serde_json::{Value, json};

use crate::control::Mount;
use crate::support::program::Ended;

const MANUAL: &str = include_str!("../../../docs/manual/control.md");

#[test]
fn the_example_in_c_works() {
    let code: Vec<_> =
        MANUAL.lines().skip_while(|line| *line != "```c").skip(1).take_while(|line| *line != "```").collect();
    assert!(code.iter().any(|line| line.contains("_IOWR(0xF5, 1, char[8192])")), "{code:?}");
    if Command::new("cc").arg("--version").output().is_err() {
        eprintln!("no C compiler here: the example was not tried");
        return;
    }
    let mount = Mount::with(&[]);
    let (source, program) = (mount.target.beside("example.c"), mount.target.beside("example"));
    std::fs::write(&source, code.join("\n")).unwrap();
    let mut compiler = Command::new("cc");
    Ended::of(compiler.args(["-Wall", "-Werror", "-o"]).args([&program, &source])).ok();
    let run = |request: &str| Ended::of(Command::new(&program).args([mount.target.dir(), request]));
    let answer: Value = serde_json::from_str(&run(r#"{"op":"stat","path":"a.txt"}"#).ok().stdout).unwrap();
    assert_eq!(answer["size"], "6");
    let refused = run(r#"{"op":"fly"}"#);
    let answer: Value = serde_json::from_str(&refused.stdout).unwrap();
    assert_eq!((refused.status, &answer["error"]), (Some(1), &json!("EINVAL")));
}
