//! A program as a policy: what it is told, what it may ask, and whether its answer can be.

use std::collections::BTreeMap;
use std::time::Instant;

use placement::policy::obstacle::Obstacle;
use placement::policy::{Choice, NoChoice, Policy, Tenure, World};
use placement::{Job, NodeView, Stay, Step};
use serde::Serialize;
use serde_json::Value;
use topology::NodeIx;

use super::Program;
use super::child::Child;
use super::fault::{Asked, Fault, ProgramError, Shown};
use super::stage::Stage;
use super::wire::{self, Answer, Ask, Hello, Placed, Question, Room, Source, Told};
use crate::near_names::near_names;

/// How often a program may ask before it answers: from each of a thousand nodes at each of a hundred steps.
pub const ASKS_MAX: u32 = 100_000;
/// Longest reason that is kept: it stands in tables.
const REASON_CHARS_MAX: usize = 120;
const S_PER_MIN: f64 = 60.0;

/// A program that decides in one run.
#[derive(Debug)]
pub struct ProgramPolicy {
    program: Program,
    child: Child,
    numbers: BTreeMap<String, NodeIx>,
    questions: u64,
}

/// A task that is asked for.
#[derive(Clone, Copy, Debug)]
struct Case<'j> {
    job: &'j Job,
    task: usize,
    /// See [`World::kept_until`].
    until: Step,
}

impl ProgramPolicy {
    /// Starts a program and waits until it is ready.
    ///
    /// # Errors
    /// That it does not start, or what came instead of its word that it is ready.
    pub fn start(program: &Program, stage: &Stage<'_>) -> Result<Self, ProgramError> {
        let error = |asked: Asked| {
            |fault: Fault| ProgramError {
                program: program.name().to_owned(),
                asked,
                fault: Box::new(fault),
            }
        };
        let child = Child::start(program).map_err(error(Asked::Start))?;
        let number = |(node, view): (NodeIx, &NodeView)| (view.id.as_str().to_owned(), node);
        let numbers = numbered(stage.nodes).map(number).collect();
        let mut policy = Self { program: program.clone(), child, numbers, questions: 0 };
        policy.greet(&Hello::new(program.name(), stage)).map_err(error(Asked::Hello))?;
        Ok(policy)
    }

    fn greet(&mut self, hello: &Hello<'_>) -> Result<(), Fault> {
        let until = Instant::now() + self.program.patience();
        self.say(hello)?;
        let (line, value) = self.hear(until)?;
        let version = wire::ready(value).map_err(|error| Fault::NoAnswer {
            line,
            error: error.to_string(),
            is_ready: false,
        })?;
        if version == wire::VERSION { Ok(()) } else { Err(Fault::Version(version)) }
    }

    /// Asks for a task until there is an answer, and checks that it can be.
    fn decide(
        &mut self,
        world: &mut World<'_, '_>,
        case: Case<'_>,
        sources: &[(NodeIx, Option<f64>)],
    ) -> Result<Result<Choice, NoChoice>, Fault> {
        let until = Instant::now() + self.program.patience();
        self.questions += 1;
        let question = question(self.questions, world, case, sources);
        self.say(&question)?;
        for _ in 0..=ASKS_MAX {
            let (line, value) = self.hear(until)?;
            let answer = Answer::of(value).map_err(|error| Fault::NoAnswer {
                line,
                error: error.to_string(),
                is_ready: true,
            })?;
            match answer {
                Answer::Ask(ask) => {
                    let told = self.told(world, case, ask)?;
                    self.say(&told)?;
                }
                Answer::None(reason) if reason.trim().is_empty() => {
                    return Err(Fault::Empty("it refused the task without a reason; say one"));
                }
                Answer::None(reason) => {
                    let task = case.job.tasks[case.task].name.clone();
                    let reason = reason.trim().chars().take(REASON_CHARS_MAX).collect();
                    return Ok(Err(NoChoice::Refused { task, reason }));
                }
                Answer::Place(placed) => {
                    let stays = self.stays(world, case, placed)?;
                    let fits = |node: &NodeIx| admits(world, case, *node, None).is_ok();
                    let considered = world.nodes.len();
                    let eligible = numbered(world.nodes).filter(|(node, _)| fits(node)).count();
                    return Ok(Ok(Choice { stays, score: 100, considered, eligible }));
                }
            }
        }
        Err(Fault::TooManyAsks)
    }

    fn say(&mut self, what: &impl Serialize) -> Result<(), Fault> {
        let mut line = serde_json::to_vec(what).expect("lists, texts and numbers");
        line.push(b'\n');
        self.child.say(line)
    }

    fn hear(&mut self, until: Instant) -> Result<(Shown, Value), Fault> {
        let line = self.child.hear(until, self.program.patience().as_secs())?;
        let value = serde_json::from_slice(&line);
        let line = Shown(line);
        match value {
            Ok(value) => Ok((line, value)),
            Err(error) => Err(Fault::NoJson { line, error }),
        }
    }

    /// What it wants to know.
    fn told<'w>(
        &self,
        world: &'w mut World<'_, '_>,
        case: Case<'_>,
        ask: Ask,
    ) -> Result<Told<'w>, Fault> {
        let nodes = || numbered(world.nodes).map(|(node, _)| node);
        let at = |step: Option<Step>| moment(world, step.unwrap_or(world.now));
        let span = |from: Option<Step>, until: Option<Step>| {
            span(world, from.unwrap_or(world.now), until.unwrap_or(case.until))
        };
        let forecast = world.latencies.forecast();
        Ok(match ask {
            Ask::Latency { node, step } => {
                let (from, step) = (self.number(&node)?, at(step)?);
                Told::LatencyMs(latencies_ms(world, from, step))
            }
            Ask::Light { step } => {
                let step = at(step)?;
                Told::Light(nodes().map(|node| forecast.light(node, step)).collect())
            }
            Ask::Places { step } => {
                let step = at(step)?;
                let places: Vec<_> = nodes().map(|node| forecast.place(node, step)).collect();
                Told::Places {
                    lat_deg: places.iter().map(|place| Some(place.as_ref()?.lat_deg)).collect(),
                    lon_deg: places.iter().map(|place| Some(place.as_ref()?.lon_deg)).collect(),
                    alt_km: places.iter().map(|place| Some(place.as_ref()?.alt_km)).collect(),
                }
            }
            Ask::Boards {} => {
                let board = |node: NodeIx| world.boards.get(node.index());
                let charge = |node| {
                    board(node).filter(|(of, _)| of.power.is_some()).map(|of| of.1.store.soc)
                };
                let chip_c = |node| {
                    board(node).filter(|(of, _)| of.thermal.is_some()).map(|of| of.1.warmth.chip_c)
                };
                Told::Boards {
                    charge: nodes().map(charge).collect(),
                    chip_c: nodes().map(chip_c).collect(),
                }
            }
            Ask::Watts { step } => {
                let step = at(step)?;
                Told::Watts(nodes().map(|node| world.book.watts(node, step)).collect())
            }
            Ask::Free { from, until } => Told::Free(room(world, span(from, until)?)),
            Ask::Fits { from, until } => {
                let span = span(from, until)?;
                let why = |node| Some(admits(world, case, node, Some(span)).err()?.to_string());
                Told::Fits { why_not: nodes().map(why).collect() }
            }
            Ask::Bears { node, from, until } => {
                let (node, span) = (self.number(&node)?, span(from, until)?);
                let left = world.left_with(node, (case.job, case.task), span);
                Told::Bears { why_not: left.err().map(|obstacle| obstacle.to_string()) }
            }
        })
    }

    /// The stays that it chose, if they can be.
    fn stays(
        &self,
        world: &World<'_, '_>,
        case: Case<'_>,
        placed: Vec<Placed>,
    ) -> Result<Vec<Stay>, Fault> {
        let mut stays: Vec<Stay> = Vec::new();
        let end = case.until.min(world.latencies.forecast().steps());
        for Placed { node, from } in &placed {
            let node = self.number(node)?;
            let from = from.unwrap_or(world.now);
            let wrong = |what, rule| Err(Fault::Moment { step: from, what, rule });
            match stays.last() {
                None if from != world.now => {
                    return wrong(
                        "the start",
                        format!("the task starts now, at step {}", world.now),
                    );
                }
                Some(before) if from <= before.from || end <= from => {
                    let rule = format!(
                        "it must come after step {} and before step {end}, the end of the run",
                        before.from
                    );
                    return wrong("a hand-over", rule);
                }
                _ => stays.push(Stay { node, from }),
            }
        }
        if stays.is_empty() {
            let what = r#"it placed the task on no node; to refuse it, answer {"none":REASON}"#;
            return Err(Fault::Empty(what));
        }
        for (at, stay) in stays.iter().enumerate() {
            // Who keeps for good what it is promised keeps it also when it has gone.
            let next = stays.get(at + 1).filter(|_| world.tenure == Tenure::Run);
            let span = (stay.from, next.map_or(case.until, |next| next.from));
            admits(world, case, stay.node, Some(span)).map_err(|obstacle| Fault::Unfit {
                node: placed[at].node.clone(),
                from: stay.from,
                obstacle,
            })?;
        }
        Ok(stays)
    }

    fn number(&self, name: &str) -> Result<NodeIx, Fault> {
        self.numbers.get(name).copied().ok_or_else(|| {
            let near = near_names(self.numbers.keys().map(String::as_str), name);
            let near = near.into_iter().map(str::to_owned).collect();
            Fault::UnknownNode { name: name.to_owned(), near }
        })
    }
}

impl Policy for ProgramPolicy {
    fn name(&self) -> &str {
        self.program.name()
    }

    fn choose(
        &mut self,
        world: &mut World<'_, '_>,
        job: &Job,
        task: usize,
    ) -> Result<Choice, NoChoice> {
        let sources = world.sources(job, task)?;
        let case = Case { job, task, until: world.kept_until(&job.tasks[task], world.now) };
        self.decide(world, case, &sources).unwrap_or_else(|fault| {
            let minute = f64::from(world.now) * world.latencies.forecast().step_s() / S_PER_MIN;
            let task = job.tasks[task].name.clone();
            let asked = Asked::Task { workflow: job.number, task, step: world.now, minute };
            let program = self.program.name().to_owned();
            let reason = ProgramError { program, asked, fault: Box::new(fault) }.to_string();
            Err(NoChoice::Broken { reason })
        })
    }
}

fn question<'a>(
    question: u64,
    world: &'a mut World<'_, '_>,
    case: Case<'a>,
    sources: &[(NodeIx, Option<f64>)],
) -> Question<'a> {
    let latencies: Vec<_> =
        sources.iter().map(|(node, _)| latencies_ms(world, *node, world.now)).collect();
    let world: &'a World<'_, '_> = world;
    let source = |((node, latency_max_ms), latency_ms): (&(NodeIx, Option<f64>), _)| Source {
        node: world.nodes[node.index()].id.as_str(),
        latency_max_ms: *latency_max_ms,
        latency_ms,
    };
    Question {
        question,
        step: world.now,
        workflow: case.job.number,
        task: case.task,
        until: (case.until != Step::MAX).then_some(case.until),
        tasks: wire::tasks(case.job, world.nodes),
        sources: sources.iter().zip(latencies).map(source).collect(),
        free: room(world, (world.now, case.until)),
    }
}

fn room<'w>(world: &'w World<'_, '_>, (from, until): (Step, Step)) -> Room<'w> {
    let free = |(node, _)| world.book.free(node, from, until);
    let free: Vec<_> = numbered(world.nodes).map(free).collect();
    let is_closed = |(node, _): &(NodeIx, &NodeView)| !world.book.is_open(*node, from);
    let names = |(_, view): (NodeIx, &'w NodeView)| view.id.as_str();
    Room {
        milli_cpu: free.iter().map(|free| free.milli_cpu.0).collect(),
        memory_mib: free.iter().map(|free| free.memory_mib.0).collect(),
        down: numbered(world.nodes).filter(|(_, view)| !view.alive).map(names).collect(),
        closed: numbered(world.nodes).filter(is_closed).map(names).collect(),
    }
}

/// From a node to all, ms.
fn latencies_ms(world: &mut World<'_, '_>, from: NodeIx, step: Step) -> Vec<Option<f64>> {
    let nodes = numbered(world.nodes).map(|(node, _)| node);
    nodes.map(|node| world.latencies.between(from, node, step)).collect()
}

/// Whether a node has a place for a task over some time; until its run ends if not said otherwise.
fn admits(
    world: &World<'_, '_>,
    case: Case<'_>,
    node: NodeIx,
    span: Option<(Step, Step)>,
) -> Result<(), Obstacle> {
    world.admits(node, (case.job, case.task), span.unwrap_or((world.now, case.until)))
}

/// A step of which something is known.
fn moment(world: &World<'_, '_>, step: Step) -> Result<Step, Fault> {
    let (now, steps) = (world.now, world.latencies.forecast().steps());
    if now <= step && step < steps {
        return Ok(step);
    }
    let rule = format!("what can be asked for is from now, step {now}, to before step {steps}");
    Err(Fault::Moment { step, what: "a moment", rule })
}

/// A time that is not over, and that has an end.
fn span(world: &World<'_, '_>, from: Step, until: Step) -> Result<(Step, Step), Fault> {
    let from = moment(world, from)?;
    if from < until {
        return Ok((from, until));
    }
    let rule = format!("it must come after step {from}, the beginning");
    Err(Fault::Moment { step: until, what: "the end of a time", rule })
}

fn numbered(nodes: &[NodeView]) -> impl Iterator<Item = (NodeIx, &NodeView)> {
    (0..).map(NodeIx).zip(nodes)
}
