//! A function of the suite in a container, by `runc` without any daemon: a root folder with one static program, a configuration that
//! the bench writes, the usual namespaces. What pulls and unpacks images is left out, so that this is the fastest that a container starts.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// How to get what is missing.
const HINT: &str = "`apt-get install runc` installs it on Debian";

/// Where functions run in containers.
#[derive(Debug)]
pub(crate) struct Containers {
    dir: tempfile::TempDir,
}

impl Containers {
    /// Makes the bundle and tries it.
    ///
    /// # Errors
    /// Why there are no containers here, in one line.
    pub(crate) fn open(program: &Path) -> Result<Self> {
        if Command::new("runc").arg("--version").output().is_err() {
            bail!("runc is not installed; {HINT}");
        }
        let containers = Self { dir: tempfile::tempdir()? };
        let root = containers.bundle().join("rootfs");
        fs::create_dir_all(root.join("proc"))?;
        fs::copy(program, root.join("suite-native")).context("no program for the container")?;
        let answer = containers.run("hello-world", b"runc")?;
        if answer != b"Hello, runc!" {
            bail!("the container answered {:?}", String::from_utf8_lossy(&answer));
        }
        Ok(containers)
    }

    /// From `runc run` to its end: the answer.
    ///
    /// # Errors
    /// With what runc said.
    pub(crate) fn run(&self, name: &str, body: &[u8]) -> Result<Vec<u8>> {
        fs::write(self.bundle().join("config.json"), config(name))?;
        let mut runc = Command::new("runc");
        runc.arg("--root").arg(self.dir.path().join("state"));
        runc.args(["run", "--no-pivot", "--bundle"]).arg(self.bundle());
        process(runc.arg(format!("starbelt-bench-{}", std::process::id())), body)
    }

    fn bundle(&self) -> PathBuf {
        self.dir.path().join("bundle")
    }
}

/// The smallest configuration of the OCI runtime specification that isolates: no capability, no new privileges, five namespaces.
fn config(name: &str) -> String {
    let namespaces =
        ["pid", "ipc", "uts", "mount", "network"].map(|kind| serde_json::json!({"type": kind}));
    serde_json::json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/suite-native", name], "env": ["PATH=/"],
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": namespaces},
    })
    .to_string()
}

/// Runs a program with a body to its end.
///
/// # Errors
/// When it does not start or fails, with the last line of what it said.
pub(crate) fn process(command: &mut Command, body: &[u8]) -> Result<Vec<u8>> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("a pipe was asked for")?;
    // A program answers only after it has read all of its body, so that writing first cannot block for ever. One that ends early
    // says more than the broken pipe.
    let written = stdin.write_all(body);
    drop(stdin);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        bail!("{}", last.unwrap_or("it said nothing").trim());
    }
    written?;
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_its_body_and_says_why_it_fails() {
        assert_eq!(process(&mut Command::new("cat"), b"body").unwrap(), b"body");
        let mut fails = Command::new("sh");
        let error = process(fails.args(["-c", "cat > /dev/null; echo no room >&2; exit 1"]), b"");
        assert_eq!(error.unwrap_err().to_string(), "no room");
    }

    #[test]
    fn without_a_program_there_are_no_containers_and_a_reason() {
        let error = Containers::open(Path::new("/nothing/suite-native")).unwrap_err().to_string();
        assert!(error.contains("runc") || error.contains("no program"), "{error}");
    }
}
