//! A small sky, nodes, and a workflow driven through a policy.

use std::sync::Arc;

use placement::endurance::{Board, Condition};
use placement::heat::Heat;
use placement::policy::survey::{Verdict, survey};
use placement::policy::{Tenure, catalog};
use placement::{
    Book, Choice, Forecast, Input, Job, JobTask, Latencies, NoChoice, NodeView, Origin, Run, Stay,
    Step, World,
};
use topology::{Graph, Link, NodeIx};
use types::{Arch, Capacity, Geodetic, MiB, MilliCpu, NodeId, NodeKind};

/// Links of each step: two nodes and the delay between them in ms.
pub(crate) type Links = Vec<(u32, u32, f64)>;

#[derive(Debug)]
pub(crate) struct SmallSky {
    graphs: Vec<Arc<Graph>>,
    /// By node, at every step; dark beyond.
    pub(crate) sunlit: Vec<f64>,
}

impl SmallSky {
    pub(crate) fn new(nodes: usize, steps: &[Links]) -> Self {
        let link = |(a, b, ms): &(u32, u32, f64)| Link {
            a: NodeIx(*a),
            b: NodeIx(*b),
            delay_us: ms * 1000.0,
            rate_kbps: 1,
            loss_ppm: 0,
        };
        let graph = |links: &Links| {
            let links: Vec<_> = links.iter().map(link).collect();
            Arc::new(Graph::new(nodes, &links).expect("links that make a graph"))
        };
        Self { graphs: steps.iter().map(graph).collect(), sunlit: vec![] }
    }
}

impl Forecast for SmallSky {
    fn steps(&self) -> Step {
        Step::try_from(self.graphs.len()).expect("few steps")
    }

    fn step_s(&self) -> f64 {
        60.0
    }

    fn graph(&self, step: Step) -> Arc<Graph> {
        Arc::clone(&self.graphs[step as usize])
    }

    fn place(&self, node: NodeIx, _step: Step) -> Option<Geodetic> {
        // Nodes stand in a row along the equator, a degree apart.
        Geodetic::new(0.0, f64::from(node.0), 0.0).ok()
    }

    fn sunlit(&self, node: NodeIx, _step: Step) -> f64 {
        self.sunlit.get(node.index()).copied().unwrap_or(0.0)
    }
}

pub(crate) const fn cores(milli_cpu: u32) -> Capacity {
    Capacity { milli_cpu: MilliCpu(milli_cpu), memory_mib: MiB(milli_cpu) }
}

pub(crate) fn node(number: usize, kind: NodeKind, milli_cpu: u32) -> NodeView {
    let id = NodeId::new(&format!("n{number}")).expect("a name");
    NodeView::new(id, kind, Arch::Arm64, cores(milli_cpu))
}

/// A task that takes what the one before makes, within so many ms; the first takes it from node 0.
pub(crate) fn chain(tasks: &[(Step, f64, Option<f64>)]) -> Job {
    let task = |(at, (start, run_s, limit_ms)): (usize, &(Step, f64, Option<f64>))| JobTask {
        name: format!("t{at}"),
        needs: cores(1000),
        watts: 0.0,
        runs: vec![Run { arch: Arch::Arm64, seconds: *run_s }],
        start: *start,
        inputs: vec![Input {
            origin: at.checked_sub(1).map_or(Origin::Node(NodeIx(0)), Origin::Task),
            latency_max_ms: *limit_ms,
        }],
        stays: vec![],
    };
    Job { number: 0, tasks: tasks.iter().enumerate().map(task).collect() }
}

/// A fleet under a policy.
pub(crate) struct Fleet {
    pub(crate) nodes: Vec<NodeView>,
    pub(crate) sky: SmallSky,
    pub(crate) book: Book,
    pub(crate) boards: Vec<(Board, Condition)>,
    pub(crate) heat: Vec<Option<Heat>>,
    /// How many tasks ask for a host at once.
    pub(crate) waiting: usize,
}

impl Fleet {
    pub(crate) fn new(nodes: Vec<NodeView>, steps: &[Links]) -> Self {
        let sky = SmallSky::new(nodes.len(), steps);
        let book = Book::new(nodes.iter().map(|node| node.capacity));
        Self { nodes, sky, book, boards: vec![], heat: vec![], waiting: 1 }
    }

    /// What is known when a task starts.
    fn world<'a, 'f>(
        &'a self,
        latencies: &'a mut Latencies<'f>,
        job: &Job,
        task: usize,
    ) -> World<'a, 'f> {
        World {
            nodes: &self.nodes,
            heat: &self.heat,
            boards: &self.boards,
            tenure: Tenure::ForGood,
            book: &self.book,
            latencies,
            now: job.tasks.get(task).map_or(0, |task| task.start),
            waiting: self.waiting,
        }
    }

    /// What is to be said of each node for a task.
    pub(crate) fn survey(&self, job: &Job, task: usize) -> Result<Vec<Verdict>, NoChoice> {
        survey(&mut self.world(&mut Latencies::new(&self.sky), job, task), job, task)
    }

    /// Places a task, and promises it what it needs.
    pub(crate) fn place(
        &mut self,
        policy: &mut dyn placement::Policy,
        job: &mut Job,
        task: usize,
    ) -> Result<Choice, NoChoice> {
        let choice =
            policy.choose(&mut self.world(&mut Latencies::new(&self.sky), job, task), job, task)?;
        job.tasks[task].stays.clone_from(&choice.stays);
        let of = &job.tasks[task];
        self.book.promise_stays(&choice.stays, Step::MAX, of.needs, of.watts);
        Ok(choice)
    }

    /// What a policy says of a task with what is searched already; nothing is promised.
    pub(crate) fn ask(
        &self,
        policy: &mut dyn placement::Policy,
        (job, task): (&Job, usize),
        latencies: &mut Latencies<'_>,
    ) -> Result<Choice, NoChoice> {
        policy.choose(&mut self.world(latencies, job, task), job, task)
    }

    /// Places all tasks of a job in order.
    pub(crate) fn drive(&mut self, policy: &str, job: &mut Job) -> Result<(), NoChoice> {
        let mut policy = catalog::of_name(policy, 7).expect("a policy of that name");
        (0..job.tasks.len()).try_for_each(|task| self.place(policy.as_mut(), job, task).map(|_| ()))
    }

    /// Steps of runs at which an objective is violated, and the sum of latencies of inputs when each task starts, ms.
    pub(crate) fn cost(&self, job: &Job) -> (u32, f64) {
        let mut latencies = Latencies::new(&self.sky);
        let (mut violated, mut sum_ms) = (0, 0.0);
        for task in &job.tasks {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "few steps"
            )]
            let steps = (task.runs[0].seconds / 60.0).ceil() as Step;
            for step in task.start..=task.start + steps {
                let latency_ms = longest_ms(job, task, step, &mut latencies);
                violated += u32::from(latency_ms.is_none());
                if step == task.start {
                    sum_ms += latency_ms.unwrap_or(0.0);
                }
            }
        }
        (violated, sum_ms)
    }
}

fn longest_ms(job: &Job, task: &JobTask, step: Step, latencies: &mut Latencies<'_>) -> Option<f64> {
    let host = task.host_at(step)?;
    let mut longest_ms = 0.0_f64;
    for input in &task.inputs {
        let origin = match input.origin {
            Origin::Node(node) => node,
            Origin::Task(before) => job.tasks[before].host_at(step)?,
        };
        let latency_ms = latencies.between(origin, host, step)?;
        if input.latency_max_ms.is_some_and(|limit_ms| limit_ms < latency_ms) {
            return None;
        }
        longest_ms = longest_ms.max(latency_ms);
    }
    Some(longest_ms)
}

/// One node for all of a run.
pub(crate) fn stay(node: u32, from: Step) -> Vec<Stay> {
    vec![Stay { node: NodeIx(node), from }]
}
