//! `tidy`: rules of the house that no other tool checks.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::{self, say};
use crate::workspace::Workspace;

/// Longest file of Rust, lines.
const FILE_LINES_MAX: usize = 600;
/// Longest `crates/types` may get as a whole, lines: it must not become the place for everything.
const TYPES_LINES_MAX: usize = 1000;
/// What may stand at the top, besides folders of members.
const TOP: [&str; 23] = [
    ".cargo",
    ".ci",
    ".clippy.toml",
    ".config",
    ".deny.toml",
    ".editorconfig",
    ".github",
    ".gitignore",
    ".rustfmt.toml",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "agent",
    "configs",
    "controller",
    "crates",
    "cross",
    "docs",
    "functions",
    "hil-tests",
    "rust-toolchain.toml",
    "sim-bridge",
];
/// Clippy reads only the file nearest to a crate: another one would switch the purity lint off.
const CLIPPY_FILES: [&str; 2] = [".clippy.toml", "crates/.clippy.toml"];
/// The pages of claims, which name the test that each of them rests on; `FILE#NAME` is a test in a file.
const CLAIMS: [&str; 2] = ["docs/reproduction.md", "docs/negative-tests.md"];
/// Folders that exist on somebody's machine only.
const MACHINE_FOLDERS: [&str; 4] = ["/home/", "/root/", "/Users/", "/work/"];
/// Words for work left undone; fine with the number of an issue.
const UNDONE: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
/// Where data from beside the repository may be named: only these crates open files for tests.
const DATA_USERS: [&str; 2] = ["sim-bridge/tests/", "hil-tests/"];
/// The folder of such data.
const DATA: &str = concat!("../", "shared");
/// Endings of the files that are read.
const TEXT: [&str; 8] = ["rs", "toml", "md", "wit", "yml", "sh", "json", "run"];

/// Checks all files that git tracks: what somebody only tries out, or builds into a folder of the
/// clone, is nobody's concern until it is added.
///
/// # Errors
/// When git is missing, or a rule is broken; then all places are listed.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    if !args.is_empty() {
        bail!("tidy takes no arguments");
    }
    let mut problems = Vec::new();
    let mut types_lines = 0;
    let files = files(&workspace.root)?;
    for file in &files {
        problems.extend(check_name(file));
        let extension = Path::new(file).extension().and_then(|e| e.to_str()).unwrap_or_default();
        if !TEXT.contains(&extension) && file != ".ci/run" {
            continue;
        }
        let text = fs::read_to_string(workspace.path(file));
        let text = text.with_context(|| format!("cannot read {file}"))?;
        problems.extend(check_text(file, &text));
        if CLAIMS.contains(&file.as_str()) {
            let read = |test: &str| fs::read_to_string(workspace.path(test)).ok();
            problems.extend(check_claims(file, &text, &files, read));
        }
        if file.starts_with("crates/types/src/") {
            types_lines += text.lines().count();
        }
    }
    if TYPES_LINES_MAX < types_lines {
        let rule = "what is used by one crate belongs there";
        problems
            .push(format!("crates/types: {types_lines} lines, at most {TYPES_LINES_MAX}: {rule}"));
    }
    for problem in &problems {
        say(problem);
    }
    match problems.len() {
        0 => Ok(()),
        1 => bail!("1 untidy place"),
        count => bail!("{count} untidy places"),
    }
}

/// The tracked files that are there, by name: one may be deleted, but not yet from the index.
fn files(root: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached"]);
    let list = command::output(&mut git).context("tidy asks git for the list of files")?;
    let is_there = |file: &&str| !file.is_empty() && root.join(file).is_file();
    let mut files: Vec<_> = list.split('\0').filter(is_there).map(str::to_owned).collect();
    files.sort();
    // While a merge is going on, a file may be in the index more than once.
    files.dedup();
    Ok(files)
}

fn check_name(file: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let top = file.split('/').next().unwrap_or_default();
    if !TOP.contains(&top) {
        problems.push(format!("{file}: {top} does not belong to the top level"));
    }
    let name = file.rsplit('/').next().unwrap_or_default();
    if ["clippy.toml", ".clippy.toml"].contains(&name) && !CLIPPY_FILES.contains(&file) {
        problems.push(format!("{file}: only {} may configure clippy", CLIPPY_FILES.join(" and ")));
    }
    problems
}

fn check_text(file: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if file.ends_with(".rs") {
        let lines = text.lines().count();
        if FILE_LINES_MAX < lines {
            problems.push(format!("{file}: {lines} lines, at most {FILE_LINES_MAX}: split it"));
        }
        if !text.starts_with("//! ") {
            problems.push(format!("{file}:1: its first line does not say its purpose (`//! …`)"));
        }
    }
    // This file names what it looks for.
    let names_rules = file == "cross/src/tidy.rs";
    for (number, line) in (1..).zip(text.lines()).filter(|_| !names_rules) {
        problems.extend(check_line(file, line).map(|rule| format!("{file}:{number}: {rule}")));
    }
    problems
}

/// Whether the tests and examples exist that a page names as `agent/tests/a.rs`, `agent/tests/a.rs#a_test` or `--example a`.
fn check_claims(
    page: &str,
    text: &str,
    files: &[String],
    read: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    // A folder stands for the files in it.
    let is_file =
        |span: &str| files.iter().any(|f| f == span || f.starts_with(&format!("{span}/")));
    let has_test =
        |file: &str, test: &str| read(file).is_some_and(|t| t.contains(&format!("fn {test}(")));
    let is_there = |span: &str| match (span.split_once("--example "), span.split_once('#')) {
        (Some((_, name)), _) => files.iter().any(|f| f.ends_with(&format!("/examples/{name}.rs"))),
        (None, Some((file, test))) => is_file(file) && has_test(file, test),
        (None, None) => is_file(span),
    };
    let names_file = |span: &&str| {
        span.contains("--example ") || span.contains('/') && !span.contains(char::is_whitespace)
    };
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        // Every other part stands between backticks.
        let spans = line.split('`').skip(1).step_by(2).filter(names_file);
        let gone = spans.filter(|span| !is_there(span));
        problems.extend(gone.map(|span| format!("{page}:{number}: {span} is not there")));
    }
    problems
}

fn check_line(file: &str, line: &str) -> Option<String> {
    if let Some(word) = UNDONE.iter().find(|word| line.contains(**word) && !has_issue(line)) {
        return Some(format!("{word} without the number of an issue, like #12"));
    }
    if let Some(folder) = MACHINE_FOLDERS.iter().find(|folder| line.contains(**folder)) {
        return Some(format!("{folder} exists on somebody's machine only"));
    }
    let is_data_user = DATA_USERS.iter().any(|folder| file.starts_with(folder));
    (line.contains(DATA) && !is_data_user)
        .then(|| format!("only {} may name {DATA}", DATA_USERS.join(" and ")))
}

fn has_issue(line: &str) -> bool {
    line.split('#').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, text: &str, expected: &[&str]) {
        let problems: Vec<_> = check_name(file).into_iter().chain(check_text(file, text)).collect();
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, part) in problems.iter().zip(expected) {
            assert!(problem.contains(part), "{problem} instead of {part}");
        }
    }

    #[test]
    fn a_tidy_file_passes() {
        check("agent/src/lib.rs", "//! Senses.\n", &[]);
        check("sim-bridge/tests/sky.rs", &format!("//! Reads {DATA}/tle.\n"), &[]);
    }

    #[test]
    fn long_files_and_files_without_purpose_are_found() {
        let long = format!("//! Long.\n{}", "\n".repeat(600));
        check("agent/src/a.rs", &long, &["601 lines"]);
        check("agent/src/b.rs", "fn main() {}\n", &["agent/src/b.rs:1: its first line"]);
    }

    #[test]
    fn undone_work_needs_an_issue() {
        let word = UNDONE[0];
        check("agent/src/a.rs", &format!("//! A.\n// {word}(#12): more\n"), &[]);
        check("docs/a.md", &format!("\n{word}: more # later\n"), &["docs/a.md:2: "]);
    }

    #[test]
    fn paths_of_a_machine_and_foreign_data_are_found() {
        let home = format!("path = \"{}me/x\"\n", MACHINE_FOLDERS[0]);
        check("configs/a.toml", &home, &["somebody's machine"]);
        check("README.md", &format!("see {DATA}\n"), &["only sim-bridge/tests/"]);
    }

    #[test]
    fn tests_that_a_page_names_have_to_exist() {
        let files = ["agent/tests/a/main.rs", "runtime/examples/cost.rs"].map(str::to_owned);
        let page = "`agent/tests/a`, `agent/tests/a/main.rs`, `cargo run --example cost`, `a / b`\n\
            `agent/tests/b.rs` and `cargo run --example price`\n";
        let gone = ["agent/tests/b.rs", "cargo run --example price"];
        let expected = gone.map(|span| format!("docs/reproduction.md:2: {span} is not there"));
        let read = |_: &str| Some("fn it_holds() {}".to_owned());
        assert_eq!(check_claims("docs/reproduction.md", page, &files, read), expected);
        let page = "`agent/tests/a/main.rs#it_holds` `agent/tests/a/main.rs#it_held` `agent/tests/b.rs#it_holds`";
        let gone = ["agent/tests/a/main.rs#it_held", "agent/tests/b.rs#it_holds"];
        let expected = gone.map(|span| format!("docs/n.md:1: {span} is not there"));
        assert_eq!(check_claims("docs/n.md", page, &files, read), expected);
    }

    #[test]
    fn stray_files_are_found() {
        check("notes.txt", "", &["does not belong to the top level"]);
        check("crates/orbit/.clippy.toml", "", &["may configure clippy"]);
    }
}
