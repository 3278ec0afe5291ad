//! Another program for a node, from the operator's command line over the controller to the node, with the real programs: signed, uploaded,
//! fetched, tried, kept, shown.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use controller::api::{self, PREFIX};
use protocol::event::UpdateStep;
use protocol::release::{PROGRAM_BYTES_MAX, ProgramFacts, STAMP};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(200);

/// A program that belongs to this test.
fn program(name: &str) -> PathBuf {
    let me = std::env::current_exe().expect("the test's set-up works");
    let folder = me.parent().and_then(Path::parent).expect("target/…/deps");
    folder.join(name)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the test's set-up works");
    listener.local_addr().expect("the test's set-up works").port()
}

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

struct Bed {
    dir: tempfile::TempDir,
    http: u16,
    _processes: Vec<Process>,
}

impl Bed {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a writable directory");
        let (bus, http) = (free_port(), free_port());
        let write = |name: &str, text: String| {
            std::fs::write(dir.path().join(name), text).expect("a writable directory");
        };
        write("sky.toml", SKY.to_owned());
        write("controller.toml", controller_toml(bus, http));
        let mut bed = Self { dir, http, _processes: Vec::new() };
        let made = bed.run(&["key", "new", "release"]);
        let made = String::from_utf8_lossy(&made.stdout).into_owned();
        let public = made.lines().find_map(|line| line.strip_prefix("public key  "));
        let text = agent_toml(bus, public.expect("the public key"));
        std::fs::write(bed.dir.path().join("agent.toml"), text).expect("a writable directory");
        bed._processes = vec![
            bed.process("starbelt-controller", "controller"),
            bed.process("starbelt-agent", "agent"),
        ];
        bed
    }

    fn process(&self, name: &str, config: &str) -> Process {
        let log = std::fs::File::create(self.dir.path().join(format!("{config}.log")));
        let mut command = Command::new(program(name));
        command.args(["run", "--config", &format!("{config}.toml")]);
        if config == "agent" {
            command.args(["--exit-with-parent", &std::process::id().to_string()]);
        }
        command.current_dir(self.dir.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(log.expect("a writable directory"));
        Process(command.spawn().expect("the workspace is built"))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(program("starbelt"))
            .args(arguments)
            .env("STARBELT_CONTROLLER", format!("http://127.0.0.1:{}", self.http))
            .env("XDG_CONFIG_HOME", self.dir.path())
            .output()
            .expect("the workspace is built")
    }

    fn node(&self) -> Option<api::NodeInfo> {
        let url = format!("http://127.0.0.1:{}{PREFIX}/nodes/box", self.http);
        let text = ureq::get(url).call().ok()?.body_mut().read_to_string().ok()?;
        serde_json::from_str(&text).ok()
    }

    #[track_caller]
    fn eventually<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            if end < Instant::now() {
                let log = std::fs::read_to_string(self.dir.path().join("agent.log"));
                panic!("{what}: not within {PATIENCE:?}\n{}", log.unwrap_or_default());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The agent as a later build, stripped of its symbols where that is possible; and its number. `None` if it is too large to travel.
    fn later(&self) -> Option<(PathBuf, u64)> {
        let file = self.dir.path().join("later");
        let mut strip = Command::new("strip");
        strip.args(["-s", "-o"]).arg(&file).arg(program("starbelt-agent"));
        let is_stripped = strip.status().is_ok_and(|status| status.success());
        if !is_stripped {
            std::fs::copy(program("starbelt-agent"), &file).expect("a writable directory");
        }
        let mut bytes = std::fs::read(&file).expect("it was written");
        if PROGRAM_BYTES_MAX < u32::try_from(bytes.len()).ok()? {
            return None;
        }
        let facts = ProgramFacts::read(&bytes).expect("it says what it is");
        let said = |number: u64| format!("{STAMP}{} {number};", facts.version).into_bytes();
        let (old, new) = (said(facts.number), said(facts.number + 1));
        let ats: Vec<usize> = (0..bytes.len() - old.len())
            .filter(|at| bytes[*at] == b'@' && bytes[*at..].starts_with(&old))
            .collect();
        for at in ats {
            bytes[at..at + new.len()].copy_from_slice(&new);
        }
        std::fs::write(&file, &bytes).expect("a writable directory");
        Some((file, facts.number + 1))
    }
}

const SKY: &str = "[constellation]\n\
    walker = { name = \"leo\", planes = 1, slots = 1, altitude_km = 550.0, inclination_deg = 53.0, phasing = 0, epoch = \"2026-01-01T00:00:00Z\" }\n\
    [[site]]\nnode = \"box\"\nlat_deg = 48.2\nlon_deg = 16.4\n\
    [[same_place]]\nnode = \"controller\"\nat = \"box\"\n";

fn controller_toml(bus: u16, http: u16) -> String {
    format!(
        "version = 1\n[controller]\nfleet = \"guide\"\nname = \"controller\"\nstate_dir = \"state/controller\"\n\
         [bus]\ninsecure = true\nlisten = [\"tcp/127.0.0.1:{bus}\"]\n[http]\nlisten = \"127.0.0.1:{http}\"\n\
         [sky]\nfile = \"sky.toml\"\n\
         [[node]]\nname = \"box\"\nkind = \"edge\"\nmilli_cpu = 2000\nmemory_mib = 1024\n"
    )
}

fn agent_toml(bus: u16, public: &str) -> String {
    format!(
        "version = 1\n[node]\nname = \"box\"\nkind = \"edge\"\nfleet = \"guide\"\n\
         [capacity]\nmilli_cpu = 2000\nmemory_mib = 1024\n\
         [bus]\ninsecure = true\nconnect = [\"tcp/127.0.0.1:{bus}\"]\n[store]\ndir = \"state/box\"\n\
         [start]\nhealthy_s = 1\n[update]\nkeys = [\"{public}\"]\n"
    )
}

#[test]
fn a_program_goes_from_the_command_line_to_the_node_and_stays() {
    let bed = Bed::start();
    let Some((file, number)) = bed.later() else {
        println!(
            "skipped: a_program_goes_from_the_command_line_to_the_node_and_stays: the program is too large, and nothing strips it here"
        );
        return;
    };
    bed.eventually("the node", || {
        bed.node().filter(|node| node.state == api::NodeState::Up && node.version.is_some())
    });
    let file = file.display().to_string();
    let update = |more: &[&str]| {
        let all =
            [&["node", "update", "box", "--program", &file, "--timeout", "60"], more].concat();
        let done = bed.run(&all);
        let said = [done.stdout, done.stderr].concat();
        (done.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let (code, said) = update(&["--dry-run", "--wait-s", "60"]);
    assert!(code == Some(0) && said.contains("would take it"), "{said}");
    let (code, said) = update(&["--within-s", "60", "--wait-s", "60"]);
    assert!(code == Some(0) && said.contains("taken"), "{said}");
    let life = bed.eventually("the program to be kept", || {
        let life = bed.node()?.life?;
        let update = life.update.clone()?;
        (life.number == number && update.step == UpdateStep::Committed).then_some(life)
    });
    assert!(!life.is_packaged);
    let shown = bed.run(&["node", "show", "box"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("is well and stays") && shown.contains("of an update"), "{shown}");
    let (code, said) = update(&[]);
    assert!(code == Some(0) && said.contains("has it"), "{said}");
}
