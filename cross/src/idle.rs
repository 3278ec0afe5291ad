//! An agent that has nothing to do but report once a second: a node without neighbours, started as a service manager would.

use std::fs;
use std::iter;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// All memory that an idle agent may have, in proportion to how many share it (PSS), MiB.
pub(crate) const PSS_MIB_MAX: f64 = 20.0;
/// Threads that it may have.
pub(crate) const THREADS_MAX: f64 = 12.0;
/// How long the agent may take to what it says next.
const SAYS_MAX: Duration = Duration::from_secs(120);

/// The agent, and the controller that hears it, if one does; they end with this.
#[derive(Debug)]
pub(crate) struct Idle {
    agent: Child,
    controller: Option<Child>,
    socket: UnixDatagram,
    /// From its start to its first report.
    pub(crate) start: Duration,
}

impl Idle {
    /// Starts an agent, or what runs one, in a folder of its own, has it tell so often that it lives, and waits until it is ready.
    /// `controller` is a program and the sky that it is to know; without one, nobody hears the agent.
    ///
    /// # Errors
    /// When it does not start, or does not say that it is ready.
    pub(crate) fn start(
        mut agent: Command,
        controller: Option<(&Path, &Path)>,
        folder: &Path,
        every: Duration,
    ) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).context("cannot remove what an earlier agent left")?;
        }
        fs::create_dir_all(folder)?;
        let (config, notify) = (folder.join("agent.toml"), folder.join("notify"));
        let port = free_port()?;
        fs::write(&config, agent_toml(port))?;
        let socket = UnixDatagram::bind(&notify).context("cannot make a socket")?;
        socket.set_read_timeout(Some(SAYS_MAX))?;
        agent.args(["run", "--config"]).arg(&config);
        agent.args(["--exit-with-parent", &std::process::id().to_string()]);
        agent.env("NOTIFY_SOCKET", &notify);
        // It tells three times in the time after which it would be ended.
        agent.env("WATCHDOG_USEC", (every * 3).as_micros().to_string());
        agent.env_remove("WATCHDOG_PID").stdin(Stdio::null());
        let controller = match controller {
            Some((program, sky)) => Some(started(program, sky, folder, port)?),
            None => None,
        };
        let begin = Instant::now();
        let agent = agent.spawn().context("the agent does not start")?;
        let mut idle = Self { agent, controller, socket, start: Duration::ZERO };
        idle.hear("READY=1")?;
        idle.start = begin.elapsed();
        Ok(idle)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.agent.id()
    }

    /// Waits until it has told so many times more that all of its tasks live.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn lives(&self, times: u32) -> Result<()> {
        (0..times).try_for_each(|_| self.hear("WATCHDOG=1"))
    }

    /// Its memory in proportion to how many share it (PSS), MiB.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn pss_mib(&self) -> Result<f64> {
        Ok(self.number("smaps_rollup")? / 1024.0)
    }

    /// What a file of `/proc` says of it: PSS in KiB, threads, ticks of processor time, bytes written to disk.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn number(&self, file: &str) -> Result<f64> {
        let path = format!("/proc/{}/{file}", self.pid());
        let text = fs::read_to_string(&path).with_context(|| format!("{path}: has it ended?"))?;
        parsed(file, &text).with_context(|| format!("{path} is of another form"))
    }

    fn hear(&self, word: &str) -> Result<()> {
        let mut bytes = [0; 4096];
        loop {
            let len = self.socket.recv(&mut bytes);
            let len = len.with_context(|| format!("the agent does not say {word}"))?;
            if String::from_utf8_lossy(&bytes[..len]).lines().any(|line| line == word) {
                return Ok(());
            }
        }
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        // It may have ended by itself, which the measurement has told.
        for child in iter::once(&mut self.agent).chain(&mut self.controller) {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// A port that nobody listens at.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
    Ok(listener.local_addr()?.port())
}

fn agent_toml(port: u16) -> String {
    format!(
        "version = 1\n[node]\nname = \"idle\"\nkind = \"edge\"\nfleet = \"bench\"\n\
         [capacity]\nmilli_cpu = 1000\nmemory_mib = 256\n\
         [bus]\ninsecure = true\nlisten = []\nconnect = [\"tcp/127.0.0.1:{port}\"]\npeers = [\"controller\"]\n\
         [report]\ninterval_ms = 1000\n[store]\ndir = \"store\"\n"
    )
}

/// Starts a controller that has this node and nothing to do.
fn started(program: &Path, sky: &Path, folder: &Path, port: u16) -> Result<Child> {
    let config = folder.join("controller.toml");
    let sky = sky.display();
    fs::write(
        &config,
        format!(
            "version = 1\n[controller]\nfleet = \"bench\"\nname = \"controller\"\nstate_dir = \"controller\"\n\
             [bus]\ninsecure = true\nlisten = [\"tcp/127.0.0.1:{port}\"]\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [sky]\nfile = \"{sky}\"\n[plan]\nhorizon_s = 600\nstep_ms = 10000\nrefresh_s = 300\n\
             [lease]\nms = 3000\n\
             [[node]]\nname = \"idle\"\nkind = \"edge\"\nmilli_cpu = 1000\nmemory_mib = 256\n"
        ),
    )?;
    let mut controller = Command::new(program);
    controller.args(["run", "--config"]).arg(&config).stdin(Stdio::null());
    controller.spawn().with_context(|| format!("{} does not start", program.display()))
}

fn parsed(file: &str, text: &str) -> Option<f64> {
    let line = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key))?;
        value.split_whitespace().next()?.parse().ok()
    };
    match file {
        "smaps_rollup" => line("Pss:"),
        "status" => line("Threads:"),
        "io" => line("write_bytes:"),
        "stat" => {
            // After the name, which may have spaces: the state is field 3, user and system time are 14 and 15 (proc(5)).
            let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
            Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parsed;

    #[test]
    fn files_of_proc_are_read() {
        let stat = "7 (a b) c) S 1 1 1 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0";
        assert_eq!(parsed("stat", stat), Some(300.0));
        assert_eq!(parsed("io", "wchar: 9\nwrite_bytes: 4096\n"), Some(4096.0));
        assert_eq!(parsed("smaps_rollup", "Rss: 9 kB\nPss:    2048 kB\n"), Some(2048.0));
        assert_eq!(parsed("status", "Threads:\t9\n"), Some(9.0));
        assert_eq!(parsed("status", "Name: x\n"), None);
    }
}
