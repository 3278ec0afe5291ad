//! Small skies with something to place on them, drawn from a seed: satellites on moving planes, ground nodes, data, calendars, batteries.

use std::f64::consts::{PI, TAU};
use std::sync::Arc as Shared;

use body::{Body, Cells, Chip, Store, Warmth};
use placement::draw::SplitMix64;
use placement::endurance::{Board, Condition, Power, Thermal};
use placement::{Book, Forecast, Input, Job, JobTask, NodeView, Origin, Promise, Run, Step};
use topology::{Graph, Link, NodeIx};
use types::{Arch, Geodetic, NodeKind};

use super::problem::number;
use crate::sample::{cores, node};

/// Mean radius of the Earth, km (IUGG).
const EARTH_KM: f64 = 6371.0;
/// Speed of light, km/s.
const LIGHT_KM_S: f64 = 299_792.458;
/// Ground nodes see what stands higher than this, rad.
const MASK: f64 = 10.0 * PI / 180.0;
const INCLINATION: f64 = 60.0 * PI / 180.0;
/// A link between satellites stays so far above the ground, km.
const GRAZE_KM: f64 = 80.0;
/// Each satellite keeps links to so many of those in sight.
const NEIGHBORS: usize = 3;
/// So many satellites stand above a ground node on average.
const COVERAGE: f64 = 2.5;
/// A satellite is above a ground node for so many steps at most: the sky runs faster than a real one, so that hosts set within the time that is looked at.
const PASS_STEPS: f64 = 14.0;
pub(super) const STEPS: usize = 40;
const STEP_S: f64 = 60.0;

/// What is to be placed, and where.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) nodes: Vec<NodeView>,
    pub(super) sky: Sky,
    pub(super) book: Book,
    /// By node; empty where nothing can be exhausted.
    pub(super) boards: Vec<(Board, Condition)>,
    pub(super) job: Job,
}

/// How the tasks of a job take from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One after another.
    Chain,
    /// Many sources flow together.
    Tree,
    /// One, then several beside each other, then one.
    Diamond,
    /// Each from any before.
    Any,
}

/// What is predicted.
#[derive(Debug)]
pub(super) struct Sky {
    /// By step: two nodes and the delay between them, µs.
    pub(super) links: Vec<Vec<(usize, usize, u32)>>,
    /// By step: what of the Sun each node sees; empty where nobody asks.
    pub(super) sunlit: Vec<Vec<f64>>,
    graphs: Vec<Shared<Graph>>,
    pub(super) step_s: f64,
}

impl Sky {
    pub(super) fn new(
        nodes: usize,
        links: Vec<Vec<(usize, usize, u32)>>,
        sunlit: Vec<Vec<f64>>,
    ) -> Self {
        let link = |(a, b, us): &(usize, usize, u32)| Link {
            a: number(*a),
            b: number(*b),
            delay_us: f64::from(*us),
            rate_kbps: 1,
            loss_ppm: 0,
        };
        let graph = |links: &Vec<_>| {
            let links: Vec<_> = links.iter().map(link).collect();
            Shared::new(Graph::new(nodes, &links).expect("links that make a graph"))
        };
        Self { graphs: links.iter().map(graph).collect(), links, sunlit, step_s: STEP_S }
    }

    fn sun(&self, node: usize, step: usize) -> f64 {
        self.sunlit.get(step).and_then(|at| at.get(node)).copied().unwrap_or(0.0)
    }

    /// The mean light on a node in a step: half of what it is at both of its ends.
    pub(super) fn mean_sun(&self, node: usize, step: usize) -> f64 {
        0.5 * (self.sun(node, step) + self.sun(node, step + 1))
    }
}

impl Forecast for Sky {
    fn steps(&self) -> Step {
        Step::try_from(self.graphs.len()).expect("few steps")
    }

    fn step_s(&self) -> f64 {
        self.step_s
    }

    fn graph(&self, step: Step) -> Shared<Graph> {
        Shared::clone(&self.graphs[step as usize])
    }

    fn place(&self, _node: NodeIx, _step: Step) -> Option<Geodetic> {
        None
    }

    fn sunlit(&self, node: NodeIx, step: Step) -> f64 {
        self.sun(node.index(), step as usize)
    }
}

/// How many satellites there are, how high and how fast; beyond them the ground nodes.
struct Layout {
    satellites: usize,
    planes: usize,
    radius_km: f64,
    rad_step: f64,
    grounds: Vec<(f64, f64)>,
}

type Place = [f64; 3];

/// An instance of at most 8 tasks, 40 nodes and 40 steps.
pub(super) fn instance(seed: u64) -> Instance {
    let mut draw = SplitMix64::new(seed);
    let shapes = [Shape::Chain, Shape::Tree, Shape::Diamond, Shape::Any];
    let shape = shapes[usize::try_from(seed % 4).expect("four")];
    let has_boards = seed % 5 == 4;
    let layout = layout(&mut draw);
    let places: Vec<Vec<Place>> = (0..STEPS).map(|step| layout.places(step)).collect();
    let links = places.iter().map(|places| layout.links(places)).collect();
    let count = places[0].len();
    let sunlit = places.iter().map(|places| places.iter().map(sunlit).collect()).collect();
    let nodes: Vec<_> =
        (0..count).map(|number| host(&mut draw, number, layout.satellites)).collect();
    let book = book(&mut draw, &nodes);
    let boards = if has_boards {
        (0..count).map(|node| board(&mut draw, node < layout.satellites)).collect()
    } else {
        vec![]
    };
    let job = job(&mut draw, shape, &layout);
    Instance { sky: Sky::new(count, links, sunlit), nodes, book, boards, job }
}

fn layout(draw: &mut SplitMix64) -> Layout {
    let nodes = 10 + draw.below(31);
    let grounds = 2 + nodes / 10;
    let satellites = nodes - grounds;
    // A cap of angle λ around each covers (1 - cos λ) / 2 of the sphere.
    let cap = (1.0 - 2.0 * COVERAGE / float(satellites)).acos();
    let mut coordinate = |span: f64| (draw.unit() - 0.5) * span;
    let grounds = (0..grounds).map(|_| (coordinate(PI * 0.6), coordinate(TAU))).collect();
    Layout {
        satellites,
        planes: 2 + draw.below(4),
        radius_km: EARTH_KM * MASK.cos() / (cap + MASK).cos(),
        rad_step: 2.0 * cap / PASS_STEPS,
        grounds,
    }
}

impl Layout {
    /// Where all nodes are at a step, km.
    fn places(&self, step: usize) -> Vec<Place> {
        let in_plane = self.satellites.div_ceil(self.planes);
        let satellite = |number: usize| {
            let (plane, slot) = (number % self.planes, number / self.planes);
            let node = TAU * float(plane) / float(self.planes);
            let phase = TAU * (float(slot) + float(plane) / float(self.planes)) / float(in_plane);
            let (sin, cos) = (phase + self.rad_step * float(step)).sin_cos();
            let (x, y, z) = (cos, sin * INCLINATION.cos(), sin * INCLINATION.sin());
            [x * node.cos() - y * node.sin(), x * node.sin() + y * node.cos(), z]
                .map(|of| of * self.radius_km)
        };
        let ground = |(lat, lon): &(f64, f64)| {
            [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()].map(|of| of * EARTH_KM)
        };
        (0..self.satellites).map(satellite).chain(self.grounds.iter().map(ground)).collect()
    }

    /// Links between satellites near each other, and to those above a ground node.
    fn links(&self, places: &[Place]) -> Vec<(usize, usize, u32)> {
        let mut links = Vec::new();
        for a in 0..self.satellites {
            let mut near: Vec<_> = (0..self.satellites)
                .filter(|b| a != *b && EARTH_KM + GRAZE_KM < graze_km(&places[a], &places[*b]))
                .map(|b| (us(distance_km(&places[a], &places[b])), b))
                .collect();
            near.sort_unstable();
            links.extend(near.into_iter().take(NEIGHBORS).map(|(us, b)| (a.min(b), a.max(b), us)));
            for ground in self.satellites..places.len() {
                if MASK <= elevation(&places[ground], &places[a]) {
                    links.push((a, ground, us(distance_km(&places[a], &places[ground]))));
                }
            }
        }
        links.sort_unstable();
        links.dedup();
        links
    }

    /// The delay straight up, µs.
    fn up_us(&self) -> f64 {
        (self.radius_km - EARTH_KM) / LIGHT_KM_S * 1e6
    }
}

/// Satellites are small and of one kind; some ground nodes are servers, others have no room.
fn host(draw: &mut SplitMix64, number: usize, satellites: usize) -> NodeView {
    let size = [1000, 1000, 1500, 2000][draw.below(4)];
    if number < satellites {
        let mut satellite = node(number, NodeKind::Satellite, size);
        satellite.alive = draw.below(25) != 0;
        return satellite;
    }
    let mut ground = node(number, NodeKind::GroundStation, [0, 0, 0, 2 * size][draw.below(4)]);
    ground.arch = Arch::X86_64;
    ground
}

/// What others were promised, and who takes nothing new later.
fn book(draw: &mut SplitMix64, nodes: &[NodeView]) -> Book {
    let mut book = Book::new(nodes.iter().map(|node| node.capacity));
    for node in 0..nodes.len() {
        if draw.below(5) < 2 {
            let from = step(draw.below(STEPS));
            let until =
                if draw.below(3) == 0 { Step::MAX } else { from + 3 + step(draw.below(15)) };
            let needs = cores([500, 1000][draw.below(2)]);
            book.promise(number(node), Promise { from, until, needs, watts: 2.0 });
        }
        if draw.below(15) == 0 {
            book.close(number(node), step(draw.below(STEPS)));
        }
    }
    book
}

/// Satellites of which some have little charge, or are warm already; the ground is on the grid.
fn board(draw: &mut SplitMix64, is_satellite: bool) -> (Board, Condition) {
    let cells = Cells {
        capacity_wh: 20.0,
        charge_efficiency: 0.95,
        discharge_efficiency: 0.95,
        charge_w_max: 20.0,
        fade_per_cycle: 0.0,
        fade_per_year: 0.0,
    };
    let body = Body {
        heat_capacity_j_k: 900.0,
        conductance_w_k: 0.2,
        chip: Some(Chip { heat_capacity_j_k: 60.0, conductance_w_k: 0.8 }),
        radiating_m2: 0.05,
        absorbing_m2: 0.02,
    };
    let board = Board {
        idle_w: 3.0,
        power: Some(Power { cells, panels_w: 12.0, reserve: 0.2 }),
        thermal: Some(Thermal { body, ambient_c: 0.0, chip_max_c: 85.0, margin_k: 5.0 }),
    };
    let (soc, celsius) = (0.45 + 0.5 * draw.unit(), 15.0 + 25.0 * draw.unit());
    let condition = Condition {
        store: Store { soc, ..Store::default() },
        warmth: Warmth { chip_c: celsius, structure_c: celsius },
    };
    (if is_satellite { board } else { Board::default() }, condition)
}

fn job(draw: &mut SplitMix64, shape: Shape, layout: &Layout) -> Job {
    let mut job = Job::default();
    let count = 2 + draw.below(7).max(draw.below(7));
    for task in 0..count {
        let origins = origins(draw, shape, task, count);
        let after = origins.iter().map(|origin| job.tasks[*origin].start).max().unwrap_or(0);
        let before = job.tasks.last().map_or(0, |before| before.start);
        let start = (after + 1 + step(draw.below(4))).max(before).min(30);
        let start = if task == 0 { 0 } else { start };
        let limits = |draw: &mut SplitMix64, least: f64, span: f64| {
            let share = least + span * draw.unit();
            (layout.up_us() * share).round() / 1000.0
        };
        let mut inputs: Vec<_> = origins
            .iter()
            .map(|origin| Input {
                origin: Origin::Task(*origin),
                latency_max_ms: Some(limits(draw, 3.0, 6.0)).filter(|_| draw.below(5) != 0),
            })
            .collect();
        if origins.is_empty() || draw.below(2) == 0 {
            let satellites = layout.satellites;
            let ground = satellites + draw.below(layout.grounds.len());
            let node = if draw.below(4) == 0 { draw.below(satellites) } else { ground };
            let least = if origins.is_empty() { 2.2 } else { 3.5 };
            let latency_max_ms = Some(limits(draw, least, 4.0)).filter(|_| draw.below(6) != 0);
            inputs.insert(0, Input { origin: Origin::Node(number(node)), latency_max_ms });
        }
        job.tasks.push(task_of(draw, task, start, inputs));
    }
    job
}

/// The tasks that one takes from.
fn origins(draw: &mut SplitMix64, shape: Shape, task: usize, count: usize) -> Vec<usize> {
    match shape {
        Shape::Chain => task.checked_sub(1).into_iter().collect(),
        // Like a heap, the leaves first: each takes from two.
        Shape::Tree => {
            let leaves = count.div_ceil(2);
            let first = 2 * task.saturating_sub(leaves);
            if task < leaves { vec![] } else { (first..(first + 2).min(task)).collect() }
        }
        Shape::Diamond if task == 0 => vec![],
        Shape::Diamond if task + 1 < count || count == 2 => vec![0],
        Shape::Diamond => (1..task).collect(),
        Shape::Any => {
            let mut origins: Vec<_> = (0..task).filter(|_| draw.below(3) == 0).collect();
            origins.truncate(3);
            origins
        }
    }
}

fn task_of(draw: &mut SplitMix64, task: usize, start: Step, inputs: Vec<Input>) -> JobTask {
    let run = 3 + draw.below(8);
    let mut runs = vec![Run { arch: Arch::Arm64, seconds: STEP_S * float(run) }];
    if draw.below(5) < 2 {
        runs.push(Run { arch: Arch::X86_64, seconds: STEP_S * 0.5 * float(run) });
    }
    JobTask {
        name: format!("t{task}"),
        needs: cores([500, 500, 1000][draw.below(3)]),
        watts: 4.0 + 8.0 * draw.unit(),
        runs,
        start,
        inputs,
        stays: vec![],
    }
}

/// The Sun stands in the direction of x: shadow is a cylinder.
fn sunlit(place: &Place) -> f64 {
    let [x, y, z] = *place;
    if x < 0.0 && y.hypot(z) < EARTH_KM { 0.0 } else { 1.0 }
}

fn distance_km(a: &Place, b: &Place) -> f64 {
    (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt()
}

/// How near a straight line between two satellites comes to the centre of the Earth, km: half way, since they are equally high.
fn graze_km(a: &Place, b: &Place) -> f64 {
    (0..3).map(|axis| (0.5 * (a[axis] + b[axis])).powi(2)).sum::<f64>().sqrt()
}

/// How high a satellite stands above the horizon, rad.
fn elevation(ground: &Place, satellite: &Place) -> f64 {
    let up: f64 = (0..3).map(|axis| ground[axis] * (satellite[axis] - ground[axis])).sum();
    (up / EARTH_KM / distance_km(ground, satellite)).asin()
}

/// The time that light takes, whole µs: sums of them are exact.
fn us(km: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "less than a second"
    )]
    let us = (km / LIGHT_KM_S * 1e6).round() as u32;
    us
}

fn step(number: usize) -> Step {
    Step::try_from(number).expect("few steps")
}

fn float(number: usize) -> f64 {
    f64::from(u32::try_from(number).expect("small numbers"))
}
