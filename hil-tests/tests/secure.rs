//! A fleet with certificates, made of the real programs: provision, join, report, call, renew, revoke.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use protocol::key::SimKeys;
use protocol::sim::{FaultAction, SimFault};
use secure::identity::Identity;
use serde_json::Value;
use types::NodeId;

/// Nothing takes so long that goes at all; a certificate is renewed within it.
const PATIENCE: Duration = Duration::from_secs(120);
/// The life of certificates here, seconds: long enough to join and report on a slow machine, short enough to see them renewed.
const LIFE_S: u64 = 90;

fn programs() -> PathBuf {
    let me = std::env::current_exe().expect("the test's set-up works");
    me.parent().and_then(Path::parent).expect("target/…/deps").to_owned()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the test's set-up works");
    listener.local_addr().expect("the test's set-up works").port()
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

struct Bed {
    dir: tempfile::TempDir,
    bus: u16,
    join: u16,
    http: u16,
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("the test's set-up works");
        let bed = Self { dir, bus: free_port(), join: free_port(), http: free_port() };
        bed.write(
            "sky.toml",
            "[constellation]\nwalker = { name = \"leo\", planes = 1, slots = 1, altitude_km = 550.0, inclination_deg = 53.0, \
             phasing = 0, epoch = \"2026-01-01T00:00:00Z\" }\n\
             [[site]]\nnode = \"n1\"\nlat_deg = 48.2\nlon_deg = 16.4\n\
             [[same_place]]\nnode = \"n2\"\nat = \"n1\"\n[[same_place]]\nnode = \"controller\"\nat = \"n1\"\n",
        );
        let node = |name: &str| {
            format!(
                "[[node]]\nname = \"{name}\"\nkind = \"edge\"\nmilli_cpu = 1000\nmemory_mib = 64\n"
            )
        };
        bed.write(
            "controller.toml",
            &format!(
                "version = 1\n[controller]\nfleet = \"f\"\nstate_dir = \"state\"\n\
                 [bus]\nlisten = [\"tls/127.0.0.1:{}\"]\n[http]\nlisten = \"127.0.0.1:{}\"\n[sky]\nfile = \"sky.toml\"\n\
                 [identity]\nauthority = \"ca\"\naddresses = [\"127.0.0.1\"]\nlife_s = {LIFE_S}\njoin = \"127.0.0.1:{}\"\n{}{}\
                 [[member]]\nname = \"watch\"\nrole = \"viewer\"\n[[member]]\nname = \"bridge\"\nrole = \"bridge\"\n",
                bed.bus, bed.http, bed.join, node("n1"), node("n2"),
            ),
        );
        for name in ["n1", "n2"] {
            let listen = free_port();
            bed.write(
                &format!("{name}.toml"),
                &format!(
                    "version = 1\n[node]\nname = \"{name}\"\nkind = \"edge\"\nfleet = \"f\"\n\
                     [capacity]\nmilli_cpu = 1000\nmemory_mib = 64\n\
                     [bus]\nlisten = [\"tls/127.0.0.1:{listen}\"]\nconnect = [\"tls/127.0.0.1:{}\"]\n\
                     [identity]\ndir = \"{name}-identity\"\ncontroller = \"https://127.0.0.1:{}\"\n\
                     [store]\ndir = \"{name}-store\"\n[report]\ninterval_ms = 200\n",
                    bed.bus, bed.join,
                ),
            );
        }
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the test's set-up works");
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(programs().join(program));
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command.env("STARBELT_CONTROLLER", format!("http://127.0.0.1:{}", self.http));
        command
    }

    /// Starts a process that writes to a log of its own.
    fn start(&self, program: &str, config: &str, log: &str) -> Running {
        let log = fs::File::options().create(true).append(true).open(self.path(log));
        let log = log.expect("the test's set-up works");
        let mut command = self.command(program);
        command.args(["run", "--config", config]).stderr(log);
        Running(command.spawn().expect("it is built"))
    }

    fn starbelt(&self, arguments: &[&str]) -> Output {
        self.command("starbelt").args(arguments).output().expect("it is built")
    }

    /// The answer of the command line, as JSON.
    fn told(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.starbelt(&[&["-o", "json"], arguments].concat());
        output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    fn join(&self, name: &str, token: &str) -> Output {
        let config = format!("{name}.toml");
        let arguments = ["join", "--config", &config, "--patience", "5"];
        self.tell("starbelt-agent", &arguments, token)
    }

    /// Runs a program with a token on stdin.
    fn tell(&self, program: &str, arguments: &[&str], token: &str) -> Output {
        let mut command = self.command(program);
        command.args(arguments);
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it is built");
        let mut stdin = child.stdin.take().expect("it is piped");
        // It may have ended before it read.
        stdin.write_all(token.as_bytes()).ok();
        drop(stdin);
        child.wait_with_output().expect("it ends")
    }

    fn token(&self, name: &str) -> String {
        let output = self.starbelt(&["node", "token", name, "--address", "127.0.0.1"]);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    fn state(&self, name: &str) -> Option<String> {
        let node = self.told(&["node", "show", name])?;
        node["state"].as_str().map(str::to_owned)
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds() {
            if end < Instant::now() {
                let log = |name| fs::read_to_string(self.path(name)).unwrap_or_default();
                panic!(
                    "never: {what}\n--- controller\n{}\n--- n1\n{}",
                    log("controller.log"),
                    log("n1.log")
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_fleet_joins_reports_renews_and_loses_who_is_revoked() {
    let bed = Bed::new();
    let provisioned = bed.starbelt(&["provision", "f", "--dir", "ca"]);
    assert!(provisioned.status.success(), "{}", said(&provisioned));
    let again = bed.starbelt(&["provision", "f", "--dir", "ca"]);
    assert_eq!(again.status.code(), Some(6), "{}", said(&again));

    let early = bed.start("starbelt-agent", "n1.toml", "early.log");
    let mut early = early;
    assert_eq!(early.0.wait().expect("it ends").code(), Some(78), "an agent that has not joined");
    assert!(bed.log("early.log").contains("join the fleet first"), "{}", bed.log("early.log"));

    let _controller = bed.start("starbelt-controller", "controller.toml", "controller.log");
    bed.until("the controller answers", || bed.told(&["node", "ls"]).is_some());
    let tokens = ["n1", "n2"].map(|name| bed.token(name));
    let other = bed.join("n2", &tokens[0]);
    assert_eq!(other.status.code(), Some(6), "a token for another name: {}", said(&other));
    for (name, token) in ["n1", "n2"].iter().zip(&tokens) {
        let joined = bed.join(name, token);
        assert!(joined.status.success(), "{}", said(&joined));
    }
    let _n1 = bed.start("starbelt-agent", "n1.toml", "n1.log");
    let _n2 = bed.start("starbelt-agent", "n2.toml", "n2.log");
    for name in ["n1", "n2"] {
        bed.until("it reports", || bed.state(name).as_deref() == Some("up"));
    }

    // Two thirds of their lives later, all have other certificates, and go on.
    let serial = || fs::read(bed.path("n1-identity/node.pem")).expect("it has joined");
    let first = serial();
    bed.until("the certificate of n1 is renewed", || serial() != first);
    bed.until("n1 has started anew", || 2 <= bed.log("n1.log").matches("up node=").count());
    bed.until("the controller has started anew", || {
        bed.log("controller.log").contains("starting anew")
    });
    for name in ["n1", "n2"] {
        bed.until("it reports again", || bed.state(name).as_deref() == Some("up"));
    }

    let revoked = bed.told(&["node", "revoke", "n1"]).expect("a member");
    assert_eq!(revoked["revoked"], true);
    bed.until("n1 is lost", || matches!(bed.state("n1").as_deref(), Some("down" | "silent")));
    assert_eq!(bed.state("n2").as_deref(), Some("up"));
    let token = bed.starbelt(&["node", "token", "n1"]);
    assert_eq!(token.status.code(), Some(6), "{}", said(&token));
    assert!(said(&token).contains("never comes back"), "{}", said(&token));
}

/// What `starbelt adopt` and `starbelt flash` leave on a board is what its agent joins and serves with, and joining ends with the codes
/// that they go by. Only the folders are others here.
#[test]
fn a_board_as_it_is_adopted_joins_and_serves() {
    let bed = Bed::new();
    let node = onboard::node::Node {
        name: NodeId::new("n2").expect("a name"),
        fleet: "f".parse().expect("a fleet"),
        kind: types::NodeKind::Edge,
        listen: vec![],
        connect: vec![format!("tls/127.0.0.1:{}", bed.bus)],
        join: Some(format!("https://127.0.0.1:{}", bed.join)),
    };
    let room = onboard::node::Room { milli_cpu: 1000, memory_mib: 64 };
    bed.write("made.toml", &node.config(room));
    fs::create_dir(bed.path("made.d")).expect("the test's set-up works");
    bed.write(
        "made.d/here.toml",
        "[identity]\ndir = \"made-identity\"\n[store]\ndir = \"made-store\"\n",
    );
    let provisioned = bed.starbelt(&["provision", "f", "--dir", "ca"]);
    assert!(provisioned.status.success(), "{}", said(&provisioned));
    let join = |token: &str, patience: &str| {
        bed.tell(
            "starbelt-agent",
            &["join", "--config", "made.toml", "--patience", patience],
            token,
        )
    };
    let none = format!("sbj1.n2.{}.{}.{}", "0".repeat(16), "0".repeat(32), "0".repeat(64));
    let away = join(&none, "0");
    assert_eq!(away.status.code(), Some(4), "nobody answers: {}", said(&away));

    let _controller = bed.start("starbelt-controller", "controller.toml", "controller.log");
    bed.until("the controller answers", || bed.told(&["node", "ls"]).is_some());
    let other = join(&none, "60");
    assert_eq!(other.status.code(), Some(5), "another authority: {}", said(&other));
    let token = bed.token("n2");
    let mut parts: Vec<&str> = token.trim().split('.').collect();
    let zeros = "0".repeat(32);
    parts[3] = &zeros;
    let wrong = join(&parts.join("."), "60");
    assert_eq!(wrong.status.code(), Some(5), "another secret: {}", said(&wrong));
    let joined = join(&token, "60");
    assert!(joined.status.success(), "{}", said(&joined));
    let again = join(&token, "60");
    assert_eq!(again.status.code(), Some(6), "there is one: {}", said(&again));
    for file in ["node.pem", "ca.pem"] {
        assert!(bed.path("made-identity").join(file).exists(), "adopt looks for {file}");
    }
    let _board = bed.start("starbelt-agent", "made.toml", "n1.log");
    bed.until("the board reports", || bed.state("n2").as_deref() == Some("up"));
}

#[test]
fn a_viewer_joins_and_renews_with_the_operators_command_line() {
    let bed = Bed::new();
    let provisioned = bed.starbelt(&["provision", "f", "--dir", "ca"]);
    assert!(provisioned.status.success(), "{}", said(&provisioned));
    let _controller = bed.start("starbelt-controller", "controller.toml", "controller.log");
    bed.until("the controller answers", || bed.told(&["node", "ls"]).is_some());
    let (token, at) = (bed.token("watch"), format!("https://127.0.0.1:{}", bed.join));
    let join =
        |dir: &str, token: &str| bed.tell("starbelt", &["join", "--dir", dir, "--at", &at], token);
    let joined = join("watch", &token);
    assert!(joined.status.success(), "{}", said(&joined));
    let file = bed.path("watch/node.pem");
    let first = fs::read(&file).expect("a certificate");
    for (dir, token, code, words) in [
        ("watch", token.as_str(), 6, "holds the identity of watch already"),
        ("thief", token.as_str(), 5, "used for another key"),
        ("none", "sbj1.watch", 5, "no join token"),
    ] {
        let refused = join(dir, token);
        assert_eq!(refused.status.code(), Some(code), "{}", said(&refused));
        assert!(said(&refused).contains(words), "{}", said(&refused));
    }
    let renewed = bed.starbelt(&["renew", "--dir", "watch", "--at", &at]);
    assert!(renewed.status.success(), "{}", said(&renewed));
    assert_ne!(fs::read(&file).expect("a certificate"), first);
    let members = bed.told(&["node", "members"]).expect("a list");
    let members = members["members"].as_array().expect("a list");
    let watch = members.iter().find(|member| member["name"] == "watch").expect("a member");
    assert_eq!((&watch["role"], &watch["revoked"]), (&"viewer".into(), &false.into()));
    assert!(watch["certificate_until"].is_string(), "{watch}");
}

/// A session with the identity in a folder of the bed, at the bridge.
fn at_bridge(bed: &Bed, dir: &str, port: u16) -> zenoh::Session {
    use zenoh::Wait as _;
    let identity = Identity::load(&bed.path(dir)).expect("it has joined");
    let mut config = zenoh::Config::default();
    for (key, value) in [
        ("mode", "\"client\"".to_owned()),
        ("scouting/multicast/enabled", "false".to_owned()),
        ("scouting/gossip/enabled", "false".to_owned()),
        ("connect/endpoints", format!("[\"tls/127.0.0.1:{port}\"]")),
        ("connect/timeout_ms", "-1".to_owned()),
    ] {
        config.insert_json5(key, &value).expect("a good setting");
    }
    secure::settings::identify(&mut config, &identity.paths).expect("good paths");
    zenoh::open(config).wait().expect("it is let in")
}

/// The first answer to a question, if there is one.
fn asked(session: &zenoh::Session, key: &str, frame: Vec<u8>) -> Option<Vec<u8>> {
    use zenoh::Wait as _;
    let answers = session.get(key).payload(frame).timeout(Duration::from_secs(2)).wait();
    let answer = answers.expect("it is asked").recv().ok()?;
    answer.result().ok().map(|sample| sample.payload().to_bytes().into_owned())
}

#[test]
fn the_bridge_joins_tells_members_the_sky_and_takes_faults_from_no_node() {
    secure::revoked::install().expect("nothing else sets the cryptography of this process");
    let bed = Bed::new();
    let provisioned = bed.starbelt(&["provision", "f", "--dir", "ca"]);
    assert!(provisioned.status.success(), "{}", said(&provisioned));
    let _controller = bed.start("starbelt-controller", "controller.toml", "controller.log");
    bed.until("the controller answers", || bed.told(&["node", "ls"]).is_some());
    let at = format!("https://127.0.0.1:{}", bed.join);
    for (dir, name) in [("bridge", "bridge"), ("n1-identity", "n1"), ("watch", "watch")] {
        let joined = bed.tell("starbelt", &["join", "--dir", dir, "--at", &at], &bed.token(name));
        assert!(joined.status.success(), "{}", said(&joined));
    }
    let port = free_port();
    let sim = |more: &str| {
        format!(
            "version = 1\nrate = 30.0\nshaper = \"none\"\n[sky]\nfile = \"sky.toml\"\n\
             [bus]\nlisten = \"tls/127.0.0.1:{port}\"\n{more}"
        )
    };
    bed.write("bare.toml", &sim(""));
    let bare = bed.command("starbelt-sim").args(["bridge", "--config", "bare.toml"]).output();
    let bare = bare.expect("it is built");
    assert!(
        !bare.status.success() && said(&bare).contains("needs certificates"),
        "{}",
        said(&bare)
    );
    bed.write("sim.toml", &sim("identity = \"bridge\"\n"));
    let mut bridge = bed.command("starbelt-sim");
    let _bridge =
        Running(bridge.args(["bridge", "--config", "sim.toml"]).spawn().expect("it is built"));

    let fault = SimFault {
        node: NodeId::new("n2").expect("a valid name"),
        peer: None,
        action: FaultAction::Heal,
    };
    let fault = protocol::encode(&fault).expect("it fits");
    for (dir, may_fail) in [("n1-identity", false), ("watch", false), ("bridge", true)] {
        let session = at_bridge(&bed, dir, port);
        bed.until("the clock is told", || asked(&session, SimKeys::CLOCK, Vec::new()).is_some());
        // Asked after the clock was told, so that silence is a refusal.
        let answer = asked(&session, SimKeys::FAULT, fault.clone());
        assert_eq!(answer.is_some(), may_fail, "faults of {dir}");
    }
}
