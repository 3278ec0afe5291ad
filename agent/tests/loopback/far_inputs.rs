//! Inputs of a stage from another node (hand-over mode M3): what its record says, and how long they take beside a TCP stream.
//!
//! The rows `hand_over_m3_*` of docs/reproduction.md come from here, since only an agent has a bus.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::belt::{Inventory, InventoryQuery, ObjectMeta};
use protocol::desired::{Phase, SourceRef};
use protocol::encode;
use protocol::invoke::{HandOver, Input, Invoke, Invoked, Outcome};
use protocol::key::BeltService;
use types::{NodeId, WorkflowId};

use crate::calls::{puppet_that_calls, spec};
use crate::signing;
use crate::support::{Agent, Session, desired, eventually, invoke, is_taken, keys, say, task};

type Size = (&'static str, usize, usize, usize);

/// Name, number of objects and bytes of each (they have at most 64 MiB), and how often it is measured: each time with objects that
/// are not there yet, which the stores of both nodes have to take.
const SIZES: [Size; 2] = [("10_mb", 1, 10_000_000, 3), ("100_mb", 2, 50_000_000, 1)];

/// A node with the sources and one without, each with a task that takes what it is given.
struct Pair {
    near: Agent,
    far: Agent,
    controller: Session,
    objects: Vec<ObjectMeta>,
    _dir: tempfile::TempDir,
}

impl Pair {
    /// The far one's task takes these data sources of the near one.
    fn start(sizes: &[Size], taken: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a writable directory");
        let near = Agent::start(dir.path(), "sat-1", &[], &sources(dir.path(), sizes));
        let far = Agent::start(dir.path(), "sat-2", &[near.port], "");
        let controller = Session::controller(&[near.port, far.port], &[]);
        let component = puppet_that_calls("puppet");
        controller.hold(&component);
        for agent in [&near, &far] {
            let name = format!("on-{}", agent.name);
            let mut spec = spec(&controller, &signing::manifest(&name, &component), &component);
            if agent.name == far.name {
                let source = |name: &&str| SourceRef { name: task(name), node: near.name.clone() };
                spec.sources = taken.iter().map(source).collect();
            }
            assert!(is_taken(&controller.tell(&desired(&agent.name, 1, &[spec], &[]))));
            eventually("a task at hand", || {
                let tasks = controller.status(&agent.name).tasks;
                tasks.iter().any(|task| task.phase == Phase::Active).then_some(())
            });
        }
        let objects = listed(&controller, &near.name);
        Self { near, far, controller, objects, _dir: dir }
    }

    /// The objects of one measurement.
    fn inputs(&self, size: &str, nth: usize) -> Vec<Input> {
        let name = format!("s-{}-{nth}", size.replace('_', "-"));
        let of_source =
            self.objects.iter().filter(|object| object.id.task.as_str().starts_with(&name));
        of_source
            .map(|object| Input { object: object.clone(), holder: self.near.name.clone() })
            .collect()
    }

    fn call(&self, at: &NodeId, run: u64, inputs: Vec<Input>) -> Invoked {
        let invoke = Invoke { inputs, ..invoke(&format!("on-{at}"), run, "Echo") };
        self.controller.invoke(at, &invoke)
    }
}

/// The objects of data sources that a node has.
fn listed(controller: &Session, node: &NodeId) -> Vec<ObjectMeta> {
    let workflow = WorkflowId::new("source").expect("a valid name");
    let query = InventoryQuery { workflow, after: None };
    let key = keys().belt(node, BeltService::Inventory);
    let listed: Inventory = controller.answer(&key, &encode(&query).expect("a valid message"));
    listed.objects
}

/// The files of all sources, and the configuration that names them.
fn sources(dir: &Path, sizes: &[Size]) -> String {
    let mut text = String::new();
    for &(size, objects, bytes, times) in sizes {
        for nth in 0..times {
            for object in 0..objects {
                let name = format!("s-{}-{nth}-{object}", size.replace('_', "-"));
                // No two are alike.
                let seed = u8::try_from(nth * 2 + object).expect("a few");
                std::fs::write(dir.join(&name), vec![seed; bytes]).expect("a writable directory");
                let source = format!("name = \"{name}\"\nkey = \"all\"\nfile = \"{name}\"\n");
                text.push_str("[[source]]\n");
                text.push_str(&source);
            }
        }
    }
    text
}

/// The same bytes through a stream to another thread.
fn through_tcp(bytes: usize) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (sent, mut arrived) = (vec![1_u8; bytes], vec![2_u8; bytes]);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody connects");
            stream.read_exact(&mut arrived).expect("all of it comes");
            Instant::now()
        });
        let mut stream = TcpStream::connect(address).expect("somebody listens");
        let started = Instant::now();
        stream.write_all(&sent).expect("all of it goes");
        reader.join().expect("no panic") - started
    })
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

#[test]
fn a_record_says_how_inputs_came_and_far_ones_take_longer_than_a_stream() {
    let pair = Pair::start(&SIZES, &[]);
    let mut run = 0;
    for (size, objects, bytes, times) in SIZES {
        let (mut fetched, mut streamed) = (Vec::new(), Vec::new());
        for nth in 0..times {
            let inputs = pair.inputs(size, nth);
            assert_eq!(inputs.len(), objects);
            run += 1;
            let invoked = pair.call(&pair.far.name, run, inputs.clone());
            assert!(matches!(invoked.outcome, Outcome::Committed(_)), "{invoked:?}");
            let total = u64::try_from(objects * bytes).expect("fits");
            assert_eq!(invoked.record.fetched_bytes, total);
            assert_eq!(invoked.record.inputs, Some(HandOver::Network));
            fetched.push(Duration::from_nanos(invoked.record.fetch_ns));
            streamed.push(through_tcp(objects * bytes));
            // On their own node they are not fetched: the guest, in a process of its own, reads what both share.
            let invoked = pair.call(&pair.near.name, run, inputs);
            assert!(matches!(invoked.outcome, Outcome::Committed(_)), "{invoked:?}");
            assert_eq!(invoked.record.fetched_bytes, 0);
            assert_eq!(invoked.record.inputs, Some(HandOver::Node));
        }
        let (fetched, streamed) = (median(fetched), median(streamed));
        say(&format!("hand_over_m3_{size}: {fetched:.1} ms, a TCP stream {streamed:.1} ms"));
    }
    // Without inputs there is no way that they came.
    let invoked = pair.call(&pair.near.name, run + 1, Vec::new());
    assert_eq!(invoked.record.inputs, None);
}

#[test]
fn data_sources_are_there_before_the_first_call() {
    let sizes = [("a", 1, 3_000_000, 1), ("b", 1, 70, 1)];
    let pair = Pair::start(&sizes, &["s-a-0-0"]);
    let taken = pair.inputs("a", 0);
    eventually("the object of the data source that its task takes", || {
        let here = listed(&pair.controller, &pair.far.name);
        (here.iter().map(|object| object.hash).eq([taken[0].object.hash])).then_some(())
    });
    let invoked = pair.call(&pair.far.name, 1, taken);
    assert!(matches!(invoked.outcome, Outcome::Committed(_)), "{invoked:?}");
    assert_eq!((invoked.record.fetched_bytes, invoked.record.fetch_ns), (0, 0));
    // What its task does not say is fetched when it is called with it.
    let invoked = pair.call(&pair.far.name, 2, pair.inputs("b", 0));
    assert_eq!(invoked.record.fetched_bytes, 70);
}
