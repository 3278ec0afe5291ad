//! The self-test of the program, by the program; and that the component which it carries is the one of its source.

#[expect(dead_code, reason = "only one of its guests is made here")]
#[path = "support/component.rs"]
mod component;

use std::process::Command;

use agent::selftest::COMPONENT;

/// The component's source.
const SOURCE: &str = include_str!("../src/selftest/hash.wat");

#[test]
fn the_component_is_that_of_its_source() {
    let made = component::component_of("function", SOURCE);
    if made == COMPONENT {
        return;
    }
    let file = std::env::temp_dir().join("hash.wasm");
    std::fs::write(&file, made).expect("a file");
    panic!(
        "agent/src/selftest/hash.wasm is not that of hash.wat: look at {} and copy it",
        file.display()
    );
}

#[test]
fn all_parts_work_on_this_machine() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut program = Command::new(env!("CARGO_BIN_EXE_starbelt-agent"));
    let output = program.arg("selftest").arg("--dir").arg(dir.path()).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for part in ["function", "runner", "store", "probes", "bus"] {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(part));
        assert!(line.is_some_and(|line| line.contains(" works ")), "{part}:\n{text}");
    }
    let left = std::fs::read_dir(dir.path()).expect("a folder").count();
    assert_eq!(left, 0, "the test left something behind");
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_starbelt-agent"));
    let output = program.args(["selftest", "--dir", "/nonexistent"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("/nonexistent"), "{text}");
}
