//! An agent that has nothing to do but report once a second: a node without neighbours, started as a service manager would.

use std::fs;
use std::iter;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

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
