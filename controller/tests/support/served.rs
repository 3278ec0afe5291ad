//! A controller with fake agents behind a real HTTP server in this process; no bus.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use controller::controller::{Controller, Saved};
use controller::event::{Input, Output};
use controller::http::{Api, Patience, serve};
use controller::shell::logs::LogBook;
use controller::shell::programs::Programs;
use controller::shell::run::{Shared, Wake};
use controller::shell::store::Modules;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use types::{Epoch, LeaderEpoch, NodeId, SkyClock, WallTime};

use super::{FakeAgent, config, contact_plan, id, link, power, queue, start};

/// Where the server listens, like `127.0.0.1:4711`.
pub(crate) struct Served {
    pub(crate) address: String,
    pub(crate) logs: LogBook,
}

/// Serves a controller that knows clock, plan and four nodes; what is submitted is placed at once.
pub(crate) async fn start_server(dir: &Path) -> Served {
    start_server_with(dir, Patience::default()).await
}

/// The same; it waits so long for uploads.
pub(crate) async fn start_server_with(dir: &Path, patience: Patience) -> Served {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let wall = WallTime(i64::try_from(wall.as_nanos()).expect("before 2262"));
    // The sky stands almost still, so that a slow machine tests the same as a fast one.
    let clock = SkyClock::new(start().plus_s(30.0), wall, 0.01).expect("a rate");
    let epoch = LeaderEpoch(1);
    let now = controller::event::Now { instant: types::Instant(0), wall };
    let (shared, wakes) = Shared::new(Controller::new(config(true), epoch, Saved::default(), now));
    let (modules, _) = Modules::open(dir.to_owned(), &[]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let mut owner = Owner::new(shared.clone(), clock);
    owner.begin();
    tokio::spawn(owner.attend(wakes));
    let logs = LogBook::new(types::FleetId::new("demo").expect("a name"));
    let programs = Programs::new(dir.join("programs"));
    let api = Api::new(shared, (modules, logs.clone()), None);
    let api = api.with_programs(programs).with_patience(patience);
    tokio::spawn(serve(listener, api, std::future::pending()));
    Served { address, logs }
}

struct Owner {
    shared: Shared,
    clock: SkyClock,
    agents: BTreeMap<NodeId, FakeAgent>,
}

impl Owner {
    fn new(shared: Shared, clock: SkyClock) -> Self {
        let names = ["drone", "ground", "sat-1", "sat-2"];
        let agents = names.map(|name| (id(name), FakeAgent::new(name, 1)));
        Self { shared, clock, agents: BTreeMap::from(agents) }
    }

    fn begin(&mut self) {
        self.input(Input::Clock(self.clock));
        self.input(Input::Plan(Arc::new(contact_plan())));
        let sky = self.sky();
        let names: Vec<NodeId> = self.agents.keys().cloned().collect();
        for name in names {
            for body in [queue(), power(0.875), link("drone", sky, 21_000)] {
                let group = body.group();
                let agent = self.agents.get_mut(&name).expect("one of ours");
                let frame = agent.report(sky, body);
                let key = format!("starbelt/demo/{name}/tlm/{}", group.as_str());
                self.input(Input::Report { key, frame });
            }
        }
    }

    async fn attend(mut self, mut wakes: mpsc::Receiver<Wake>) {
        while let Some(wake) = wakes.recv().await {
            self.work(wake);
        }
    }

    fn input(&mut self, input: Input) {
        self.work(Wake::Input(input));
    }

    /// Does one thing and all that follows from it, as agents do that answer at once.
    fn work(&mut self, wake: Wake) {
        let (outputs, answered) = self.shared.take(wake);
        let mut outputs = VecDeque::from(outputs);
        while let Some(output) = outputs.pop_front() {
            for input in self.answers(output) {
                let (more, nobody) = self.shared.take(Wake::Input(input));
                outputs.extend(more);
                nobody.say();
            }
        }
        answered.say();
    }

    fn answers(&mut self, output: Output) -> Vec<Input> {
        let sky = self.sky();
        let (node, told, frame) = match output {
            Output::Save | Output::Signers => return vec![],
            Output::Replay { node, from_seq } => {
                let frame = Ok(self.agents[&node].page(from_seq));
                return vec![Input::Replayed { node, frame }];
            }
            Output::Ask(node) => (node, None, vec![]),
            Output::Tell(desired) => {
                let frame = protocol::encode(&*desired).expect("valid");
                (desired.node.clone(), Some(desired.generation), frame)
            }
        };
        let agent = self.agents.get_mut(&node).expect("one of ours");
        let before = agent.events.len();
        let answer = agent.desired(sky, &frame);
        let events = agent.events[before..].iter().map(|event| Input::Event {
            key: format!("starbelt/demo/{node}/evt"),
            frame: protocol::encode(event).expect("valid"),
        });
        let mut inputs: Vec<Input> = events.collect();
        inputs.push(Input::Answered { node, told, frame: Ok(answer) });
        inputs
    }

    fn sky(&self) -> Epoch {
        self.clock.sky(self.shared.now().wall)
    }
}
