//! Every command of `docs/guide-functions.md`, in an empty directory outside of the repository, in one shell; what the
//! guide says that they print is what they print.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const GUIDE: &str = include_str!("../../docs/guide-functions.md");
/// Stands for any text within a line; alone on a line, for any lines.
const ANY: &str = "…";
/// Printed by the shell before each block of commands.
const MARK: &str = "=== block ";
/// Longer than all of it takes on a busy machine: two functions are built, with the guest crate.
const PATIENCE: &str = "900";

/// Commands, and what the guide says that they print.
struct Block {
    commands: String,
    printed: Vec<String>,
}

/// The blocks of the guide: each `sh`, and the `text` that follows it at once.
fn blocks(guide: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else { continue };
        let inside: Vec<String> =
            lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect();
        match kind {
            "sh" => blocks.push(Block { commands: inside.join("\n"), printed: Vec::new() }),
            "text" => blocks.last_mut().expect("it follows commands").printed = inside,
            other => panic!("the guide has a block of {other:?}, which nobody checks"),
        }
    }
    blocks
}

/// Whether lines are as the guide says, and if not, from which of its lines on.
fn is_as_said(said: &[String], printed: &[&str]) -> Result<(), String> {
    let Some((first, rest)) = said.split_first() else {
        return match printed.first() {
            None => Ok(()),
            Some(more) => Err(format!("nothing more, but there is {more:?}")),
        };
    };
    if first == ANY {
        let mut ends = (0..=printed.len()).map(|from| is_as_said(rest, &printed[from..]));
        let never = || Err(format!("{:?} and what follows, which never comes", rest.first()));
        return ends.find(Result::is_ok).unwrap_or_else(never);
    }
    match printed.split_first() {
        Some((line, more)) if is_line_as_said(first, line) => is_as_said(rest, more),
        other => Err(format!("{first:?}, but there is {:?}", other.map(|(line, _)| line))),
    }
}

fn is_line_as_said(said: &str, line: &str) -> bool {
    let mut parts = said.split(ANY);
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The folder of the programs that belong to this test.
fn programs() -> PathBuf {
    let me = std::env::current_exe().expect("the test's set-up works");
    let folder = me.parent().and_then(Path::parent).expect("target/…/deps");
    folder.to_owned()
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the test's set-up works");
    listener.local_addr().expect("the test's set-up works").port()
}

/// All blocks as one script, with ports that are free here.
fn script(blocks: &[Block]) -> String {
    let mut script =
        "set -eu\nexec 2>&1\ntrap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT\n".to_owned();
    for (index, block) in blocks.iter().enumerate() {
        writeln!(script, "echo '{MARK}{index}'\n{}", block.commands).expect("a String takes it");
    }
    for port in ["7501", "8080"] {
        assert!(script.contains(port), "the guide does not use port {port}");
        script = script.replace(port, &free_port().to_string());
    }
    script
}

/// Runs a script as a user would who has our programs in the search path, and a home without anything of Starbelt.
fn run(script: &str, dir: &Path, api: u16) -> (String, bool) {
    let home = dir.join("home");
    let work = dir.join("work");
    fs::create_dir_all(home.join("cache/starbelt")).expect("the test's set-up works");
    fs::create_dir(&work).expect("the test's set-up works");
    // The compilers that `cargo xtask functions` has unpacked, so that nothing is fetched twice.
    let unpacked = programs().join("../toolchain");
    if let Ok(unpacked) = unpacked.canonicalize() {
        let link = home.join("cache/starbelt/toolchain");
        std::os::unix::fs::symlink(unpacked, link).expect("the test's set-up works");
    }
    let mut path = OsString::from(programs());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut shell = Command::new("timeout");
    shell.args(["--kill-after=5", PATIENCE, "bash", "-c", script]).current_dir(&work);
    shell.env("PATH", path).env("XDG_CONFIG_HOME", home.join("config"));
    shell.env("XDG_CACHE_HOME", home.join("cache"));
    shell.env("STARBELT_CONTROLLER", format!("http://127.0.0.1:{api}"));
    // The guest crate's few dependencies are those of the workspace: no network is needed.
    shell.env("CARGO_NET_OFFLINE", "true").env("CARGO_TERM_COLOR", "never");
    for set_by_cargo in ["CARGO", "CARGO_TARGET_DIR", "CARGO_MANIFEST_DIR", "RUSTFLAGS"] {
        shell.env_remove(set_by_cargo);
    }
    // A group of its own, so that what is left over can be ended with it.
    shell.stdin(Stdio::null()).process_group(0);
    let output = shell.output().expect("bash and timeout are there");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
}

#[test]
fn every_command_does_what_the_guide_says() {
    if let Err(missing) = artifacts::available() {
        println!(
            "skipped: every_command_does_what_the_guide_says: no compiler for functions here: {missing}"
        );
        return;
    }
    let dir = tempfile::tempdir().expect("the test's set-up works");
    let blocks = blocks(GUIDE);
    assert!(10 < blocks.len(), "the guide has commands");
    let script = script(&blocks);
    let api = api_port(&script);
    let (printed, is_good) = run(&script, dir.path(), api);
    let log =
        |name: &str| fs::read_to_string(dir.path().join("work").join(name)).unwrap_or_default();
    assert!(
        is_good,
        "{printed}\n--- controller\n{}\n--- agent\n{}",
        log("controller.log"),
        log("agent.log")
    );
    let parts = printed.split(MARK).skip(1);
    let mut checked = 0;
    for (block, part) in blocks.iter().zip(parts) {
        let lines: Vec<&str> = part.lines().skip(1).collect();
        if let Err(why) = is_as_said(&block.printed, &lines) {
            panic!("{}\nprints\n{part}\nthe guide says {why}", block.commands);
        }
        checked += 1;
    }
    assert_eq!(checked, blocks.len(), "{printed}");
}

/// Where the script has the controller listen for the command line.
fn api_port(script: &str) -> u16 {
    let after = script.split("[http]\nlisten = \"127.0.0.1:").nth(1).expect("controller.toml");
    let digits = after.split('"').next().expect("a closing quote");
    digits.parse().expect("a port")
}

#[test]
fn what_is_printed_is_compared_line_by_line() {
    let said = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let good = [
        ("a\n…\nb", "a\nb"),
        ("a\n…\nb", "a\nx\ny\nb"),
        ("…", ""),
        ("x … z …", "x y z 1"),
        ("", ""),
    ];
    for (text, printed) in good {
        let printed: Vec<&str> = printed.lines().collect();
        assert_eq!(is_as_said(&said(text), &printed), Ok(()), "{text:?}");
    }
    for (text, printed) in
        [("a", "b"), ("a", ""), ("a", "a\nb"), ("x …", "y 1"), ("… b", "a c"), ("a\n…\nb", "a\nc")]
    {
        let printed: Vec<&str> = printed.lines().collect();
        assert!(is_as_said(&said(text), &printed).is_err(), "{text:?}");
    }
}
