//! The program itself: exit codes, and a bed of two Zenoh routers whose only way is a shaped pair.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use orbit::LayoutMemo;
use protocol::key::SimKeys;
use protocol::sim::{FaultAction, SimClock, SimFault, SimFaultReply};
use protocol::{Message, decode, encode};
use sim_bridge::replay::wall_now;
use sim_bridge::schedule::link_table;
use sim_bridge::shape::PairId;
use sim_bridge::sky_file;
use tempfile::TempDir;
use types::NodeId;
use zenoh::{Config, Session};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// A pause between two looks at something.
const SHORT: Duration = Duration::from_millis(20);
const PROGRAM: &str = env!("CARGO_BIN_EXE_starbelt-sim");

const SKY: &str = r#"
[constellation]
walker = { name = "w", planes = 24, slots = 22, altitude_km = 550.0, inclination_deg = 53.0, phasing = 11, epoch = "2026-01-01T00:00:00Z" }
[[satellite]]
node = "one"
name = "w-03-04"
[[satellite]]
node = "two"
name = "w-05-07"
"#;

/// A folder with sky.toml and sim.toml for the pair one~two; the ports are free.
struct Bed {
    dir: TempDir,
    bus: String,
    pair: String,
    forward: String,
}

fn free_port() -> String {
    let port = TcpListener::bind("127.0.0.1:0").expect("loopback works");
    port.local_addr().expect("it is bound").to_string()
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder can be made");
        let (bus, pair, forward) = (free_port(), free_port(), free_port());
        let sim = format!(
            "version = 1\nrate = 30.0\n[sky]\nfile = \"sky.toml\"\n[bus]\ninsecure = true\nlisten = \"tcp/{bus}\"\n\
             [[pair]]\na = \"one\"\nb = \"two\"\nlisten = \"{pair}\"\nforward = \"{forward}\"\n"
        );
        std::fs::write(dir.path().join("sky.toml"), SKY).expect("it can be written");
        std::fs::write(dir.path().join("sim.toml"), sim).expect("it can be written");
        Self { dir, bus, pair, forward }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self) -> Running {
        let child = Command::new(PROGRAM)
            .args(["bridge", "--exit-with-parent", &std::process::id().to_string(), "--config"])
            .arg(self.file("sim.toml"))
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        Running { child }
    }
}

/// The bridge; killed when the test fails.
struct Running {
    child: Child,
}

impl Running {
    fn terminate(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(kill.success());
        let code = self.child.wait().expect("it ends").code();
        let mut out = String::new();
        let stdout = self.child.stdout.as_mut().expect("it is piped");
        stdout.read_to_string(&mut out).expect("it is text");
        (code, out)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone where the test went well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn run(args: &[&str], file: &Path) -> Output {
    let (command, rest) = args.split_at(args.len() - 1);
    assert_eq!(rest, ["--config"]);
    Command::new(PROGRAM).args(command).arg("--config").arg(file).output().expect("it runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_good_bed_passes_the_check_and_a_bad_one_is_exit_78() {
    let bed = Bed::new();
    let good = run(&["config", "check", "--config"], &bed.file("sim.toml"));
    assert_eq!((good.status.code(), stderr(&good).as_str()), (Some(0), ""));
    std::fs::write(bed.file("sky.toml"), SKY.replace("planes = 24", "planes = -1")).unwrap();
    for command in [vec!["config", "check", "--config"], vec!["bridge", "--config"]] {
        let bad = run(&command, &bed.file("sim.toml"));
        assert_eq!(bad.status.code(), Some(78), "{command:?}");
        assert!(bad.stdout.is_empty());
        let told = stderr(&bad);
        assert!(told.contains("sky.toml, line 3, constellation.walker"), "{told}");
    }
}

#[test]
fn too_few_files_are_told_before_anything_starts() {
    let bed = Bed::new();
    let limited = Command::new("sh")
        .args(["-c", "ulimit -n 100 && exec \"$0\" bridge --config \"$1\"", PROGRAM])
        .arg(bed.file("sim.toml"))
        .output()
        .unwrap();
    assert_eq!(limited.status.code(), Some(1));
    let told = stderr(&limited);
    let expected =
        "1 pairs may need 337 open files, but the hard limit of this process is 100: raise";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn a_set_that_is_no_text_is_exit_78() {
    let bed = Bed::new();
    std::fs::write(bed.file("sky.toml"), "[constellation]\nfile = \"set.tle\"\n").unwrap();
    std::fs::write(bed.file("set.tle"), b"SAT\n1 \xff").unwrap();
    let bad = run(&["sky", "--config"], &bed.file("sky.toml"));
    assert_eq!(bad.status.code(), Some(78));
    let told = stderr(&bad);
    assert!(told.contains("set.tle, line 2: byte 0xff must be UTF-8 text"), "{told}");
}

#[test]
fn an_epoch_ahead_of_the_others_is_warned_of() {
    let bed = Bed::new();
    std::fs::write(bed.file("sky.toml"), "[constellation]\nfile = \"set.json\"\n").unwrap();
    let set = |(number, epoch)| {
        format!(
            r#"{{"OBJECT_NAME":"S{number}","EPOCH":"{epoch}-01-01T00:00:00","MEAN_MOTION":15,"ECCENTRICITY":0,
            "INCLINATION":53,"RA_OF_ASC_NODE":0,"ARG_OF_PERICENTER":0,"MEAN_ANOMALY":0,"BSTAR":0,
            "NORAD_CAT_ID":{number}}}"#
        )
    };
    let sets = [(1, 2026), (2, 2062), (3, 2026)].map(set);
    std::fs::write(bed.file("set.json"), format!("[{}]", sets.join(","))).unwrap();
    let shown = run(&["sky", "--config"], &bed.file("sky.toml"));
    assert_eq!(shown.status.code(), Some(0));
    let told = stderr(&shown);
    assert!(told.contains("warning: the epoch of \"S2\" (line 3) is 2062-01-01"), "{told}");
    assert!(String::from_utf8_lossy(&shown.stdout).contains("2026-01-01T00:00:00"));
}

#[test]
fn bad_elements_are_told_with_file_line_and_field() {
    let bed = Bed::new();
    std::fs::write(bed.file("sky.toml"), "[constellation]\nfile = \"set.tle\"\n").unwrap();
    let tle = include_str!("data/two-epochs.tle").replace("53.0540", "53.0541");
    std::fs::write(bed.file("set.tle"), tle).unwrap();
    let bad = run(&["sky", "--config"], &bed.file("sky.toml"));
    assert_eq!(bad.status.code(), Some(78));
    let told = stderr(&bad);
    assert!(told.contains("set.tle, line 3, record 1 \"STARLINK-44714\", checksum: "), "{told}");
}

#[test]
fn a_taken_port_is_named_with_its_use_and_nothing_starts() {
    let bed = Bed::new();
    let (_bus, _pair) =
        (TcpListener::bind(&bed.bus).unwrap(), TcpListener::bind(&bed.pair).unwrap());
    let taken = run(&["bridge", "--config"], &bed.file("sim.toml"));
    assert_eq!(taken.status.code(), Some(1));
    let told = stderr(&taken);
    assert!(told.contains(&format!("port {} for the emulation session", bed.bus)), "{told}");
    assert!(told.contains(&format!("port {} for the link one~two of one", bed.pair)), "{told}");
    assert!(!told.contains("the replay runs"), "{told}");
}

#[test]
fn the_sky_is_printed_for_people_and_for_scripts() {
    let bed = Bed::new();
    let table = run(&["sky", "--config"], &bed.file("sky.toml"));
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(text.starts_with("2026-01-01T00:00:00.000Z: 528 satellites, 1056 inter"), "{text}");
    let at = ["sky", "--at", "2026-01-01T01:00:00Z", "-o", "json", "--config"];
    let json = run(&at, &bed.file("sky.toml"));
    let view: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&view["satellites"], &view["pairs"][0]["up"]), (&528.into(), &true.into()));
    let wrong = run(&["sky", "--at", "noon", "--config"], &bed.file("sky.toml"));
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn nothing_is_left_behind_when_the_parent_is_killed() {
    let bed = Bed::new();
    let start = "\"$0\" bridge --exit-with-parent $$ --config \"$1\" & exec sleep 1000";
    let mut parent = Command::new("sh")
        .args(["-c", start, PROGRAM])
        .arg(bed.file("sim.toml"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let port = bed.pair.parse().unwrap();
    let answers = || TcpStream::connect_timeout(&port, SHORT).is_ok();
    wait_until(answers, "the bridge serves");
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_until(|| !answers(), "the bridge is gone");
}

/// Asks again and again until it holds.
fn wait_until(holds: impl Fn() -> bool, what: &str) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited too long until {what}");
        std::thread::park_timeout(SHORT);
    }
}

async fn zenoh(mode: &str, listen: Option<&str>, connect: Option<&str>) -> Session {
    let list = |addr: Option<&str>| {
        addr.map_or_else(|| "[]".to_owned(), |addr| format!("[\"tcp/{addr}\"]"))
    };
    let config = format!(
        "{{ mode: \"{mode}\", listen: {{ endpoints: {} }},
            connect: {{ endpoints: {}, timeout_ms: -1, exit_on_failure: false,
                retry: {{ period_init_ms: 200, period_max_ms: 500, period_increase_factor: 2 }} }},
            scouting: {{ multicast: {{ enabled: false }}, gossip: {{ enabled: false }} }},
            transport: {{ link: {{ tx: {{ lease: 4000, keep_alive: 4 }} }} }} }}",
        list(listen),
        list(connect),
    );
    let config = Config::from_json5(&config).expect("valid settings");
    zenoh::open(config).await.expect("the session opens")
}

async fn ask<M: Message>(session: &Session, key: &str, payload: Vec<u8>) -> Option<M> {
    let timeout = Duration::from_secs(2);
    let answers = session.get(key).payload(payload).timeout(timeout).await.expect("it is asked");
    let sample = answers.recv_async().await.ok()?.into_result().ok()?;
    decode(&sample.payload().to_bytes()).ok()
}

async fn inject(demo: &Session, action: FaultAction) {
    let node = NodeId::new("two").expect("a valid name");
    let fault = encode(&SimFault { node, peer: None, action }).expect("it is valid");
    let reply = ask::<SimFaultReply>(demo, SimKeys::FAULT, fault).await;
    assert_eq!(reply, Some(SimFaultReply::Done { pairs: 1 }));
}

/// A round trip from one node to the other; `None` without an answer within two seconds.
async fn round_trip(one: &Session) -> Option<Duration> {
    let start = Instant::now();
    let answers = one.get("ping").timeout(Duration::from_secs(2)).await.expect("it is asked");
    answers.recv_async().await.ok()?.into_result().ok().map(|_| start.elapsed())
}

async fn until_reached(one: &Session) {
    let start = Instant::now();
    while round_trip(one).await.is_none() {
        assert!(start.elapsed() < PATIENCE, "the other end is not reached");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_reach_each_other_as_the_sky_has_it_and_faults_allow() {
    let bed = Bed::new();
    let bridge = bed.start();
    let demo = zenoh("client", None, Some(&bed.bus)).await;
    let clock = loop {
        if let Some(SimClock { clock }) = ask(&demo, SimKeys::CLOCK, Vec::new()).await {
            break clock;
        }
    };
    assert!((clock.rate - 30.0).abs() < f64::EPSILON);
    let two = zenoh("router", Some(&bed.forward), None).await;
    let _echo = two
        .declare_queryable("ping")
        .callback(|query| drop(zenoh::Wait::wait(query.reply("ping", "pong"))))
        .await
        .unwrap();
    let one = zenoh("router", None, Some(&bed.pair)).await;
    until_reached(&one).await;

    // The round trip is what the sky says: two delays. Wide here, exact in the demo's report.
    let sky = sky_file::load(&bed.file("sky.toml")).unwrap();
    let pair = [PairId { a: NodeId::new("one").unwrap(), b: NodeId::new("two").unwrap() }];
    let now = clock.sky(wall_now());
    let link = link_table(&sky, &mut LayoutMemo::default(), &pair, now)[0].unwrap();
    let mut trips = Vec::new();
    for _ in 0..9 {
        trips.push(round_trip(&one).await.expect("the link is up"));
    }
    let (shortest, expected) = (trips.iter().min().unwrap(), link.delay * 2);
    assert!(expected.mul_f64(0.9) < *shortest, "{trips:?} {expected:?}");
    assert!(
        *shortest < expected.mul_f64(1.1) + Duration::from_millis(10),
        "{trips:?} {expected:?}"
    );

    inject(&demo, FaultAction::Close).await;
    assert_eq!(round_trip(&one).await, None);
    inject(&demo, FaultAction::Heal).await;
    until_reached(&one).await;
    inject(&demo, FaultAction::BlackHole).await;
    assert_eq!(round_trip(&one).await, None);
    inject(&demo, FaultAction::Heal).await;
    until_reached(&one).await;

    let (code, out) = bridge.terminate();
    assert_eq!((code, out.as_str()), (Some(0), ""));
    assert_eq!(round_trip(&one).await, None);
}
