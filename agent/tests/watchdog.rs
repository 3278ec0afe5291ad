//! What the service manager hears from an agent: that it serves, that it lives as long as its tasks answer, that it ends. And how little an
//! agent uses meanwhile that has nothing to do.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// After which the service manager would end the agent, in microseconds.
const WATCHDOG_US: &str = "600000";

/// Memory that an idle agent may take besides the pages of its program, MiB. Those are measured where the program that is shipped is tried
/// (`cross/src/build/trial.rs`), since this one is several times as large: 15 MiB, together 20.
const OWN_MIB_MAX: f64 = 5.0;
/// Threads that an idle agent may have.
const THREADS_MAX: u32 = 12;

/// The service manager's end of the socket.
struct Manager {
    dir: tempfile::TempDir,
    socket: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let socket = UnixDatagram::bind(dir.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        Self { dir, socket }
    }

    /// Starts a node that has these sensors.
    fn start(&self, sensors: &str) -> Agent {
        let config = self.dir.path().join("agent.toml");
        // Whom it dials is never there: a node serves without a link.
        let text = format!(
            "version = 1\n[node]\nname = \"alone\"\nkind = \"edge\"\nfleet = \"test\"\n\
             [capacity]\nmilli_cpu = 1000\nmemory_mib = 256\n\
             [bus]\ninsecure = true\nlisten = []\nconnect = [\"tcp/127.0.0.1:9\"]\npeers = [\"controller\"]\n\
             [report]\ninterval_ms = 1000\n[store]\ndir = \"store\"\n\
             [battery]\nbackend = \"{sensors}\"\nenergy = \"grid\"\n\
             [thermal]\nbackend = \"{sensors}\"\n"
        );
        std::fs::write(&config, text).expect("a file");
        let mut agent = Command::new(env!("CARGO_BIN_EXE_starbelt-agent"));
        agent.args(["run", "--config"]).arg(config);
        agent.args(["--exit-with-parent", &std::process::id().to_string()]);
        agent.env("NOTIFY_SOCKET", self.dir.path().join("notify"));
        agent.env("WATCHDOG_USEC", WATCHDOG_US).env_remove("WATCHDOG_PID");
        Agent(agent.spawn().expect("it starts"))
    }

    /// The next message that says this; with all that it says.
    fn hear(&self, word: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            let len =
                self.socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{word}: {error}"));
            let message = String::from_utf8_lossy(&bytes[..len]).into_owned();
            if message.lines().any(|line| line == word) {
                return message;
            }
        }
    }
}

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn the_service_manager_hears_of_start_life_and_end() {
    let manager = Manager::new();
    let mut agent = manager.start("none");
    let ready = manager.hear("READY=1");
    assert!(ready.lines().any(|line| line.starts_with("STATUS=serves; 0 of ")), "{ready}");
    for _ in 0..3 {
        let alive = manager.hear("WATCHDOG=1");
        assert!(alive.contains("STATUS=serves"), "{alive}");
    }
    let pid = i32::try_from(agent.0.id()).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::TERM).expect("a signal");
    manager.hear("STOPPING=1");
    assert!(agent.0.wait().expect("its end").success());
}

/// The memory of a process in proportion to how many share it (PSS), KiB, but for the pages of its program, those among them that it has written to: the
/// addresses in them are as many as its program is large.
fn own_kib(smaps: &str, program: &str) -> u32 {
    let (mut is_program, mut kib) = (false, 0);
    for line in smaps.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        if !first.ends_with(':') {
            is_program = line.ends_with(program);
        } else if !is_program && first == "Pss:" {
            let number =
                line.split_whitespace().nth(1).and_then(|number| number.parse::<u32>().ok());
            kib += number.expect("a number of KiB (proc(5))");
        }
    }
    assert!(smaps.contains(program), "the program is none of the mappings");
    kib
}

#[test]
fn an_idle_agent_is_small() {
    let manager = Manager::new();
    let agent = manager.start("auto");
    manager.hear("READY=1");
    // Fed each 200 ms: five seconds of reports at 1 Hz.
    for _ in 0..25 {
        manager.hear("WATCHDOG=1");
    }
    let read = |file: &str| {
        let file = format!("/proc/{}/{file}", agent.0.id());
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    let own_mib = f64::from(own_kib(&read("smaps"), env!("CARGO_BIN_EXE_starbelt-agent"))) / 1024.0;
    let status = read("status");
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:"));
    let threads: u32 = threads.and_then(|text| text.trim().parse().ok()).expect("so many threads");
    println!("an idle agent: {own_mib:.1} MiB of its own, {threads} threads");
    assert!(own_mib <= OWN_MIB_MAX, "{own_mib:.1} MiB, {OWN_MIB_MAX} are the most");
    assert!(threads <= THREADS_MAX, "{threads} threads, {THREADS_MAX} are the most");
}
