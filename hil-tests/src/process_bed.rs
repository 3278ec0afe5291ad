//! The `process` bed: real processes on this machine, watched, killed and restarted, never left behind.
//!
//! Every child is started with `--exit-with-parent`, so it also ends when this process is killed. That signal
//! follows the *thread* that started the child: start all of them from a thread that lives as long as the bed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use types::NodeId;

use crate::fleet::{CONTROLLER, Fleet};
use crate::layout::Layout;

/// Free space that a bed needs: stores of eight agents within their quotas, logs and modules.
pub const FREE_DISK_MIN_MIB: u64 = 512;
/// How long a process may take to end after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);
/// The name of the bridge's process.
pub const BRIDGE: &str = "sim-bridge";

/// Why a bed cannot be.
#[derive(Debug, thiserror::Error)]
pub enum BedError {
    /// A program is not where the others are.
    #[error("{program} is not built: {} does not exist; run `cargo build --bins`", path.display())]
    NotBuilt {
        /// Its name.
        program: &'static str,
        /// Where it should be.
        path: PathBuf,
    },
    /// The guests are not built.
    #[error("{0}")]
    NoGuests(String),
    /// Someone listens there already.
    #[error("port {port} on 127.0.0.1 is in use: {source}; choose another with --port")]
    PortInUse {
        /// Which.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The disk is full.
    #[error("{free_mib} MiB are free at {}, {FREE_DISK_MIN_MIB} MiB are needed", path.display())]
    DiskFull {
        /// Where.
        path: PathBuf,
        /// What is free.
        free_mib: u64,
    },
    /// The folder is another run's.
    #[error("another demo runs in {}; end it, or give this one a folder with --dir", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// The folder holds something else.
    #[error("{} holds files that no demo wrote, and a demo makes its folder anew; name another with --dir", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// A process ended by itself.
    #[error("{process} ended ({status}); the end of its log:\n{log}")]
    Ended {
        /// Which.
        process: String,
        /// How.
        status: ExitStatus,
        /// Its last lines.
        log: String,
    },
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was to be done.
        what: String,
        /// Why not.
        source: io::Error,
    },
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> BedError {
    let what = what.into();
    move |source| BedError::Io { what, source }
}

/// Where the programs lie.
#[derive(Clone, Debug)]
pub struct Programs {
    agent: PathBuf,
    controller: PathBuf,
    sim: PathBuf,
}

impl Programs {
    /// Finds the programs beside the running one (or one folder above, for test programs).
    ///
    /// # Errors
    /// [`BedError::NotBuilt`] naming the first that is missing.
    pub fn find() -> Result<Self, BedError> {
        Ok(Self {
            agent: find("starbelt-agent")?,
            controller: find("starbelt-controller")?,
            sim: find("starbelt-sim")?,
        })
    }
}

/// Finds a program beside the running one (or one folder above, for test programs).
///
/// # Errors
/// [`BedError::NotBuilt`] when it is missing.
pub fn find(program: &'static str) -> Result<PathBuf, BedError> {
    let me = std::env::current_exe().map_err(io_error("finding this program"))?;
    let beside = me.parent().unwrap_or_else(|| Path::new("."));
    let dir = if beside.ends_with("deps") { beside.parent().unwrap_or(beside) } else { beside };
    let path = dir.join(program);
    if path.is_file() { Ok(path) } else { Err(BedError::NotBuilt { program, path }) }
}

/// Checks all that can be checked before anything starts.
///
/// # Errors
/// [`BedError`] for the first thing that is missing.
pub fn check(dir: &Path, http_port: u16) -> Result<Programs, BedError> {
    let programs = Programs::find()?;
    artifacts::available().map_err(|missing| BedError::NoGuests(missing.to_string()))?;
    TcpListener::bind(("127.0.0.1", http_port))
        .map_err(|source| BedError::PortInUse { port: http_port, source })?;
    std::fs::create_dir_all(dir).map_err(io_error(format!("making {}", dir.display())))?;
    let space = rustix::fs::statvfs(dir).map_err(|error| {
        io_error(format!("asking for free space at {}", dir.display()))(error.into())
    })?;
    let free_mib = space.f_bavail.saturating_mul(space.f_frsize) / (1024 * 1024);
    if free_mib < FREE_DISK_MIN_MIB {
        return Err(BedError::DiskFull { path: dir.to_owned(), free_mib });
    }
    Ok(programs)
}

/// Processor time and memory that a bed has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct BedUsage {
    /// User and system time of all children that run now, in seconds.
    pub cpu_s: f64,
}

/// Running processes.
#[derive(Debug)]
pub struct ProcessBed {
    layout: Layout,
    programs: Programs,
    children: BTreeMap<String, Child>,
    ended_cpu_s: f64,
    /// What its processes log, if not what they do by themselves.
    log: Option<&'static str>,
}

impl ProcessBed {
    /// Starts bridge, controller and one agent per node.
    ///
    /// # Errors
    /// [`BedError`] when a process cannot be started; those that run are stopped.
    pub fn start(layout: Layout, programs: Programs, fleet: &Fleet) -> Result<Self, BedError> {
        Self::start_logging(layout, programs, fleet, None)
    }

    /// The same, with another filter of what is logged (`STARBELT_LOG`).
    ///
    /// # Errors
    /// As [`ProcessBed::start`].
    pub fn start_logging(
        layout: Layout,
        programs: Programs,
        fleet: &Fleet,
        log: Option<&'static str>,
    ) -> Result<Self, BedError> {
        let mut bed = Self { layout, programs, children: BTreeMap::new(), ended_cpu_s: 0.0, log };
        bed.start_bridge()?;
        bed.start_controller()?;
        for node in fleet.nodes() {
            bed.start_agent(node)?;
        }
        Ok(bed)
    }

    fn start_bridge(&mut self) -> Result<(), BedError> {
        let config = self.layout.sim_config();
        let program = self.programs.sim.clone();
        self.spawn(BRIDGE, &program, &["bridge"], &config)
    }

    /// Starts the controller (again).
    ///
    /// # Errors
    /// [`BedError`] when it cannot be started.
    pub fn start_controller(&mut self) -> Result<(), BedError> {
        let config = self.layout.controller_config();
        let program = self.programs.controller.clone();
        self.spawn(CONTROLLER, &program, &["run"], &config)
    }

    /// Starts a node's agent (again).
    ///
    /// # Errors
    /// [`BedError`] when it cannot be started.
    pub fn start_agent(&mut self, node: &NodeId) -> Result<(), BedError> {
        let config = self.layout.agent_config(node);
        let program = self.programs.agent.clone();
        self.spawn(node.as_str(), &program, &["run"], &config)
    }

    fn spawn(
        &mut self,
        name: &str,
        program: &Path,
        verb: &[&str],
        config: &Path,
    ) -> Result<(), BedError> {
        let log_path = self.layout.log(name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log_path)
            .map_err(io_error(format!("opening {}", log_path.display())))?;
        let child = Command::new(program)
            .envs(self.log.map(|filter| ("STARBELT_LOG", filter)))
            .args(verb)
            .arg("--config")
            .arg(config)
            .args(["--exit-with-parent", &std::process::id().to_string()])
            // Ctrl-C in a terminal goes to the whole group of the demo: it decides when they end.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(io_error(format!("starting {}", program.display())))?;
        self.children.insert(name.to_owned(), child);
        Ok(())
    }

    /// Kills a process with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// [`BedError`] when there is no such process or it cannot be killed.
    pub fn kill(&mut self, name: &str) -> Result<(), BedError> {
        let Some(mut child) = self.children.remove(name) else {
            return Err(BedError::Io {
                what: format!("killing {name}"),
                source: io::Error::new(io::ErrorKind::NotFound, "it does not run"),
            });
        };
        self.ended_cpu_s += cpu_seconds(child.id()).unwrap_or(0.0);
        child.kill().map_err(io_error(format!("killing {name}")))?;
        child.wait().map_err(io_error(format!("waiting for {name}")))?;
        Ok(())
    }

    /// The agents that somebody else has killed with a signal since this was asked last; to the bed they are as after
    /// [`ProcessBed::kill`].
    ///
    /// # Errors
    /// [`BedError`] when the operating system does not say how a process is.
    pub fn killed_by_others(&mut self) -> Result<Vec<NodeId>, BedError> {
        let mut killed = Vec::new();
        for (name, child) in &mut self.children {
            let node =
                NodeId::new(name).ok().filter(|_| ![BRIDGE, CONTROLLER].contains(&name.as_str()));
            let status = child.try_wait().map_err(io_error(format!("watching {name}")))?;
            if let Some(node) = node
                && status.is_some_and(|status| status.signal().is_some())
            {
                killed.push(node);
            }
        }
        for node in &killed {
            self.children.remove(node.as_str());
        }
        Ok(killed)
    }

    /// Fails if a process has ended that nobody killed.
    ///
    /// # Errors
    /// [`BedError::Ended`] with the end of its log.
    pub fn check_alive(&mut self) -> Result<(), BedError> {
        for (name, child) in &mut self.children {
            let status = child.try_wait().map_err(io_error(format!("watching {name}")))?;
            if let Some(status) = status {
                let log = tail(&self.layout.log(name));
                return Err(BedError::Ended { process: name.clone(), status, log });
            }
        }
        Ok(())
    }

    /// What the bed has used so far.
    pub fn usage(&self) -> BedUsage {
        let running: f64 = self.children.values().filter_map(|child| cpu_seconds(child.id())).sum();
        BedUsage { cpu_s: running + self.ended_cpu_s }
    }

    /// Ids of the running processes.
    pub fn process_ids(&self) -> Vec<(String, u32)> {
        self.children.iter().map(|(name, child)| (name.clone(), child.id())).collect()
    }

    /// Where its files are.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Ends all processes with SIGTERM, and with SIGKILL those that do not listen.
    ///
    /// Answers the names of those that had to be killed.
    pub fn stop(&mut self) -> Vec<String> {
        for child in self.children.values() {
            if let Some(pid) =
                i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw)
            {
                // A process that is already gone needs no signal.
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
            }
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        let mut killed = Vec::new();
        for (name, mut child) in std::mem::take(&mut self.children) {
            while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(20));
            }
            if matches!(child.try_wait(), Ok(None)) {
                child.kill().ok();
                child.wait().ok();
                killed.push(name);
            }
        }
        killed
    }
}

impl Drop for ProcessBed {
    fn drop(&mut self) {
        self.stop();
    }
}

/// User and system time of a process in seconds, from `/proc/<pid>/stat` (fields 14 and 15, in clock ticks).
fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name in parentheses may hold blanks; the fields after it do not.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    let ticks = u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    Some((f64::from(user) + f64::from(system)) / f64::from(ticks))
}

fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
