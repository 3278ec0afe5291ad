//! An instance in whole numbers, as the search reads it: delays, room and light at each step, tasks.

use body::{Store, Warmth};
use placement::endurance::{Board, Condition};
use placement::{JobTask, Origin, Step};
use topology::NodeIx;

use super::instance::Instance;

/// A delay where no path leads, µs.
pub(super) const NO_PATH_US: u32 = u32::MAX;
/// Most nodes: their sets are the bits of a number.
pub(super) const NODES_MAX: usize = 64;

/// Everything that a plan is judged by.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) nodes: usize,
    pub(super) steps: usize,
    pub(super) tasks: Vec<Task>,
    /// By step and two nodes, µs.
    delays_us: Vec<u32>,
    /// By step and node.
    spots: Vec<Spot>,
    /// By node: what of it can be exhausted, and how it is at step 0; `None` where nothing can.
    boards: Vec<Option<(Board, Condition)>>,
    step_s: f64,
}

/// A task.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) start: usize,
    /// The last step at which its objectives count.
    pub(super) last: usize,
    /// The first step at which it keeps nothing any more.
    pub(super) until: usize,
    /// Processor and memory.
    pub(super) needs: [u32; 2],
    pub(super) watts: f64,
    pub(super) inputs: Vec<Input>,
    /// The nodes that are there and can run it, as bits.
    pub(super) able: u64,
}

/// What a task takes, and within how many µs; `NO_PATH_US - 1` asks for any path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input {
    pub(super) from: From,
    pub(super) limit_us: u32,
}

/// Where from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Node(usize),
    Task(usize),
}

/// A node at a step.
#[derive(Clone, Copy, Debug)]
struct Spot {
    /// Processor and memory that others leave.
    free: [u32; 2],
    is_open: bool,
    /// What others draw, W.
    watts: f64,
    sunlit: f64,
}

impl Problem {
    pub(super) fn of(instance: &Instance) -> Self {
        let (nodes, sky) = (instance.nodes.len(), &instance.sky);
        assert!(nodes <= NODES_MAX, "{nodes} nodes are more than a set can name");
        let tasks: Vec<_> =
            instance.job.tasks.iter().map(|task| Task::of(instance, task)).collect();
        let end = tasks.iter().map(|task| task.until).fold(sky.links.len(), usize::max);
        let spot = |(step, node)| {
            let (at, ix) = (Step::try_from(step).expect("few steps"), number(node));
            let free = instance.book.free(ix, at, at + 1);
            Spot {
                free: [free.milli_cpu.0, free.memory_mib.0],
                is_open: instance.book.is_open(ix, at),
                watts: instance.book.watts(ix, at),
                sunlit: sky.mean_sun(node, step),
            }
        };
        let every = (0..end).flat_map(|step| (0..nodes).map(move |node| (step, node)));
        let boards = (0..nodes).map(|node| instance.boards.get(node).copied());
        Self {
            nodes,
            steps: sky.links.len(),
            tasks,
            delays_us: sky.links.iter().flat_map(|links| shortest_us(nodes, links)).collect(),
            spots: every.map(spot).collect(),
            boards: boards.map(|of| of.filter(|(board, _)| !board.is_unlimited())).collect(),
            step_s: instance.sky.step_s,
        }
    }

    pub(super) fn delay_us(&self, step: usize, a: usize, b: usize) -> u32 {
        self.delays_us[(step * self.nodes + a) * self.nodes + b]
    }

    fn spot(&self, step: usize, node: usize) -> &Spot {
        &self.spots[step * self.nodes + node]
    }

    /// Whether something new may begin on a node.
    pub(super) fn is_open(&self, node: usize, step: usize) -> bool {
        self.spot(step, node).is_open
    }

    /// Whether a node has room at a step for so much.
    pub(super) fn has_room(&self, node: usize, step: usize, needs: [u32; 2]) -> bool {
        let free = self.spot(step, node).free;
        needs[0] <= free[0] && needs[1] <= free[1]
    }

    /// Whether anything of a node can be exhausted.
    pub(super) fn is_limited(&self, node: usize) -> bool {
        self.boards[node].is_some()
    }

    /// Whether anything can be taken from a battery.
    pub(super) fn has_batteries(&self) -> bool {
        self.boards.iter().flatten().any(|(board, _)| board.power.is_some())
    }

    /// What a task takes from the battery of a node at a step, beside tasks that draw so much there, µWh.
    pub(super) fn drawn_uwh(&self, task: usize, node: usize, step: usize, beside_w: f64) -> u32 {
        let Some((board, _)) = &self.boards[node] else { return 0 };
        let Some(power) = board.power else { return 0 };
        let spot = self.spot(step, node);
        let over_w = board.idle_w + spot.watts + beside_w - power.panels_w * spot.sunlit;
        let without_w = over_w.max(0.0);
        let with_w = (over_w + self.tasks[task].watts).max(0.0);
        uwh((with_w - without_w) / power.cells.discharge_efficiency, self.step_s)
    }

    /// Whether a node bears some tasks, each from a step on, over all steps.
    pub(super) fn bears(&self, node: usize, tasks: &[(usize, usize)]) -> bool {
        let Some((board, mut now)) = self.boards[node] else { return true };
        for step in 0..self.steps {
            let spot = self.spot(step, node);
            let runs =
                |(task, from): &&(usize, usize)| *from <= step && step < self.tasks[*task].until;
            let own_w: f64 =
                tasks.iter().filter(runs).map(|(task, _)| self.tasks[*task].watts).sum();
            now = board.after(now, self.step_s, board.idle_w + spot.watts + own_w, spot.sunlit);
            if !is_well(&board, &now.store, &now.warmth) {
                return false;
            }
        }
        true
    }
}

/// What so much power is in a step, whole µWh.
pub(super) fn uwh(watts: f64, step_s: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "less than a kilowatt hour"
    )]
    let uwh = (watts * step_s / 3600.0 * 1e6).round() as u32;
    uwh
}

/// Whether the charge is not below the reserve, and the chip not above its limit less the margin.
fn is_well(board: &Board, store: &Store, warmth: &Warmth) -> bool {
    let is_charged = board.power.is_none_or(|power| power.reserve <= store.soc);
    let is_cool =
        board.thermal.is_none_or(|thermal| warmth.chip_c <= thermal.chip_max_c - thermal.margin_k);
    is_charged && is_cool
}

impl Task {
    fn of(instance: &Instance, task: &JobTask) -> Self {
        let run = run_steps(task, instance.sky.step_s);
        let start = task.start as usize;
        let steps = instance.sky.links.len();
        let able = instance.nodes.iter().enumerate().filter(|(_, node)| {
            let can = task.runs.is_empty() || task.runs.iter().any(|run| run.arch == node.arch);
            node.alive && can
        });
        Self {
            start,
            last: (start + run).min(steps - 1).max(start),
            until: start + run + 1,
            needs: [task.needs.milli_cpu.0, task.needs.memory_mib.0],
            watts: task.watts,
            inputs: task.inputs.iter().map(Input::of).collect(),
            able: able.fold(0, |set, (node, _)| set | 1 << node),
        }
    }

    pub(super) fn is_able(&self, node: usize) -> bool {
        self.able >> node & 1 == 1
    }
}

impl Input {
    fn of(input: &placement::Input) -> Self {
        let from = match input.origin {
            Origin::Node(node) => From::Node(node.index()),
            Origin::Task(task) => From::Task(task),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "instances have limits of whole µs below an hour"
        )]
        let limit_us =
            input.latency_max_ms.map_or(NO_PATH_US - 1, |ms| (ms * 1000.0).round() as u32);
        Self { from, limit_us }
    }
}

/// How many steps a task runs on the slowest processor that may run it.
pub(super) fn run_steps(task: &JobTask, step_s: f64) -> usize {
    let seconds = task.runs.iter().map(|run| run.seconds).fold(0.0, f64::max);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few steps")]
    let steps = (seconds / step_s).ceil() as usize;
    steps
}

pub(super) fn number(node: usize) -> NodeIx {
    NodeIx(u32::try_from(node).expect("few nodes"))
}

/// All shortest paths (R. Floyd, 1962), in µs: from each node to each.
fn shortest_us(nodes: usize, links: &[(usize, usize, u32)]) -> Vec<u32> {
    let mut us = vec![NO_PATH_US; nodes * nodes];
    for node in 0..nodes {
        us[node * nodes + node] = 0;
    }
    for (a, b, delay_us) in links {
        for at in [a * nodes + b, b * nodes + a] {
            us[at] = us[at].min(*delay_us);
        }
    }
    for via in 0..nodes {
        for a in 0..nodes {
            for b in 0..nodes {
                let (first, then) = (us[a * nodes + via], us[via * nodes + b]);
                if first != NO_PATH_US && then != NO_PATH_US {
                    us[a * nodes + b] = us[a * nodes + b].min(first + then);
                }
            }
        }
    }
    us
}
