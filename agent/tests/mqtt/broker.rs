//! A broker of a test's own.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use super::PATIENCE;

/// Where Debian installs it, which is in nobody's path but root's.
const PROGRAMS: [&str; 2] = ["mosquitto", "/usr/sbin/mosquitto"];

/// mosquitto, killed when it is dropped.
pub(crate) struct Broker {
    child: Child,
    log: mpsc::Receiver<String>,
    file: PathBuf,
    pub(crate) port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Broker {
    /// Starts one for plain connections; `None`, with the reason printed, where there is no mosquitto.
    pub(crate) fn plain(test: &str) -> Option<Self> {
        Self::with(test, |_dir| "allow_anonymous true\n".to_owned())
    }

    /// Starts one with more settings, made once its folder is there.
    #[expect(clippy::print_stdout, reason = "what was skipped is counted from the tests' output")]
    pub(crate) fn with(test: &str, more: impl FnOnce(&Path) -> String) -> Option<Self> {
        let Some(program) = program() else {
            println!("skipped: {test}: mosquitto is not installed (apt-get install mosquitto)");
            return None;
        };
        let dir = tempfile::tempdir().expect("the broker of a test");
        let port = TcpListener::bind("127.0.0.1:0")
            .expect("the broker of a test")
            .local_addr()
            .expect("the broker of a test")
            .port();
        let more = more(dir.path());
        let file = dir.path().join("mosquitto.conf");
        // Where root runs the tests, their folders are root's; anybody else is not asked.
        let settings = format!(
            "user root\nlog_dest stderr\nlog_type all\npersistence false\nlistener {port} 127.0.0.1\n{more}"
        );
        std::fs::write(&file, settings).expect("the broker of a test");
        let (child, log) = start(program, &file);
        let broker = Self { child, log, file, port, _dir: dir };
        broker.says(" running");
        Some(broker)
    }

    /// Waits until its log has a line with this.
    pub(crate) fn says(&self, words: &str) {
        let mut lines = Vec::new();
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(words) => return,
                Ok(line) => lines.push(line),
                Err(error) => panic!("{error}: no {words:?} in:\n{}", lines.join("\n")),
            }
        }
    }

    /// Ends it at once, as a power cut does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the broker of a test");
        self.child.wait().expect("the broker of a test");
    }

    /// Starts it anew on the same port.
    pub(crate) fn restart(&mut self) {
        let program = program().expect("it was there");
        (self.child, self.log) = start(program, &self.file);
        self.says(" running");
    }
}

/// The first of them that can be started at all, whatever it answers.
fn program() -> Option<&'static str> {
    let starts = |program: &&str| {
        let mut asked = Command::new(program);
        asked.arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    PROGRAMS.into_iter().find(starts)
}

fn start(program: &str, file: &Path) -> (Child, mpsc::Receiver<String>) {
    let mut child = Command::new(program)
        .arg("-c")
        .arg(file)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the broker of a test");
    let (sender, log) = mpsc::channel();
    let lines = BufReader::new(child.stderr.take().expect("the broker of a test")).lines();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            // A test that has ended reads no more.
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    (child, log)
}
