//! Decisions in words: why a node, why not another, and the plan as text.

use std::fmt;

use types::{Epoch, LatencyUs, NodeId, Region};

use crate::alternative::Alternative;
use crate::choose::{Candidate, Placed, Why};
use crate::constraint::{Constraint, NodeRefusal};
use crate::decision::{Assignment, Decision, Plan, Refusal};
use crate::span::Ending;
use crate::world::World;

/// Why the host of a task is its host, in one line.
pub(crate) fn because(world: &World<'_>, placed: &Placed<'_, '_>) -> String {
    let host = placed.candidate();
    let task = placed.survey.task;
    let mut parts = vec![];
    if let Some(owner) = world.owner(&task.id).filter(|owner| owner.node != *host.id()) {
        parts.push(match refusal_of(world, placed, &owner.node) {
            Some(refusal) => format!("leaves {refusal}"),
            None => format!("leaves {}", owner.node),
        });
    }
    parts.push(match placed.why {
        Why::Stays => format!("stays: {}", holds(world, host)),
        Why::Announced => format!("the announced hand-over is due: {}", holds(world, host)),
        Why::Copy => format!("has the second copy of the state: {}", holds(world, host)),
        Why::Best if task.pinned.is_some() => format!("pinned: {}", holds(world, host)),
        Why::Best => format!("{}, {}", holds(world, host), advantage(world, placed)),
    });
    match (&placed.next, &host.span.ending) {
        (Some(next), _) => {
            let at = world.view.plan.time_of(next.span.from);
            parts.push(format!("then {} at {}", next.id(), clock(at)));
        }
        (None, Ending::Fails(_)) => parts.push("no node is known to follow".to_owned()),
        (None, Ending::Horizon | Ending::Guess(_)) => {}
    }
    parts.join("; ")
}

/// What decided against a node that is not the host.
pub(crate) fn verdict(world: &World<'_>, placed: &Placed<'_, '_>, row: usize) -> NodeRefusal {
    let candidate = match &placed.survey.rows[row] {
        Ok(candidate) => candidate,
        Err(refusal) => return refusal.clone(),
    };
    let host = placed.candidate();
    let refuse = |constraint, value, limit, unit| NodeRefusal {
        node: candidate.id().clone(),
        constraint,
        at: world.view.now,
        value,
        limit,
        unit,
    };
    let lasts = |of: &Candidate<'_, '_>| world.time_of(of.span.last).seconds_since(world.view.now);
    if let Some((_, task)) = placed.spoiled.iter().find(|(spoiled, _)| *spoiled == row) {
        return refuse(Constraint::Followers { task: task.clone() }, 0.0, 1.0, "");
    }
    let (ours, theirs) = (lasts(candidate), lasts(host));
    match placed.why {
        Why::Stays | Why::Announced => refuse(Constraint::Stays, ours, theirs, "s"),
        Why::Copy => refuse(Constraint::Copy, ours, theirs, "s"),
        Why::Best if candidate.awaits.is_some() && host.awaits.is_none() => {
            let task = candidate.awaits.expect("just checked").clone();
            refuse(Constraint::Awaits { task }, 0.0, 1.0, "")
        }
        Why::Best if candidate.impact.victim().is_some() && host.impact.victim().is_none() => {
            let task = candidate.impact.victim().expect("just checked").clone();
            refuse(Constraint::Followers { task }, 0.0, 1.0, "")
        }
        Why::Best if candidate.span.last < host.span.last => {
            refuse(Constraint::Shorter, ours, theirs, "s")
        }
        Why::Best if host.latency < candidate.latency => {
            let ms = |of: &Candidate<'_, '_>| of.latency.unwrap_or_default().as_ms();
            refuse(Constraint::Farther, ms(candidate), ms(host), "ms")
        }
        Why::Best => refuse(Constraint::Order, 0.0, 1.0, ""),
    }
}

fn refusal_of<'p>(
    world: &World<'_>,
    placed: &'p Placed<'_, '_>,
    node: &NodeId,
) -> Option<&'p NodeRefusal> {
    let row = world.nodes.iter().position(|known| known.id == *node)?;
    placed.survey.rows[row].as_ref().err()
}

/// What a candidate holds, and until when.
fn holds(world: &World<'_>, candidate: &Candidate<'_, '_>) -> String {
    let span = &candidate.span;
    if !world.grid.ahead {
        return match candidate.latency {
            Some(latency) => format!("meets its needs at {} ms now", number(latency.as_ms())),
            None => "meets its needs now".to_owned(),
        };
    }
    let until = clock(world.time_of(span.last));
    match span.failure() {
        Some(failure) => match &failure.constraint {
            Constraint::Latency { to } => {
                format!("holds {} ms to {to} until {until}", number(failure.limit))
            }
            Constraint::Bandwidth { to } => {
                format!("holds {} kbit/s to {to} until {until}", number(failure.limit))
            }
            Constraint::Loss { to } => {
                format!("loses at most {} % to {to} until {until}", number(failure.limit))
            }
            Constraint::Jitter { to } => {
                let limit = number(failure.limit);
                format!("changes by at most {limit} ms a step to {to} until {until}")
            }
            Constraint::Arrival { to, kib } => {
                let limit = number(failure.limit);
                format!("has {kib} KiB from {to} within {limit} ms until {until}")
            }
            Constraint::Battery => {
                format!("keeps its reserve of {} % until {until}", number(failure.limit))
            }
            Constraint::Temperature => {
                format!("stays below {} °C until {until}", number(failure.limit))
            }
            Constraint::Outage { to } | Constraint::Unplanned { to } => {
                format!("reaches {to} until {until}")
            }
            Constraint::With { task, .. } => format!("shares the node of {task} until {until}"),
            Constraint::Apart { task } => format!("keeps apart from {task} until {until}"),
            _ => format!("holds until {until}"),
        },
        None => format!("holds beyond {until}"),
    }
}

/// What a chosen node has over the next best.
fn advantage(world: &World<'_>, placed: &Placed<'_, '_>) -> String {
    let host = placed.candidate();
    let rest = placed.survey.choices.iter().filter(|(row, _)| {
        *row != placed.host && placed.spoiled.iter().all(|(spoiled, _)| spoiled != row)
    });
    let rows = &placed.survey.rows;
    let Some(other) = rest.filter_map(|(row, _)| rows[*row].as_ref().ok()).next() else {
        return "the only node that can".to_owned();
    };
    let (ours, theirs) = (world.time_of(host.span.last), world.time_of(other.span.last));
    let ms = |of: &Candidate<'_, '_>| number(of.latency.unwrap_or_default().as_ms());
    if let Some(task) = other.awaits.filter(|_| host.awaits.is_none()) {
        format!("{} is to host {task} later", other.id())
    } else if let Some(task) = other.impact.victim().filter(|_| host.impact.victim().is_none()) {
        format!("{} would leave no node for {task}", other.id())
    } else if other.span.last < host.span.last {
        let longer = number(ours.seconds_since(theirs));
        format!("{longer} s longer than the next best, {}", other.id())
    } else if host.latency < other.latency {
        let mine =
            if world.grid.ahead { format!("at {} ms now, ", ms(host)) } else { String::new() };
        format!("{mine}{} at {} ms", other.id(), ms(other))
    } else {
        format!("as does {}", other.id())
    }
}

/// The time of day of a moment.
fn clock(at: Epoch) -> String {
    let text = format!("{at:.0}");
    text.get(11..19).unwrap_or(&text).to_owned()
}

/// A number with up to three decimals, none of them idle.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl fmt::Display for NodeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, at, unit, .. } = self;
        let (value, limit, at) = (number(self.value), number(self.limit), clock(*at));
        write!(f, "{node}: ")?;
        match &self.constraint {
            Constraint::Alive => write!(f, "is down"),
            Constraint::Pinned => write!(f, "the task is pinned elsewhere"),
            Constraint::Kind => write!(f, "not of a kind that may host the task"),
            Constraint::Declined { reason } => write!(f, "has declined the task: {reason}"),
            Constraint::Trust { class, trust } => {
                let (trust, class) = (trust.as_str(), class.as_str());
                write!(f, "is trusted with {trust} data, not with {class} ones")
            }
            Constraint::Region { allowed, region } => {
                let allowed: Vec<&str> = allowed.iter().map(Region::as_str).collect();
                match region {
                    Some(region) => write!(f, "stands in {region}")?,
                    None => write!(f, "not known where it stands")?,
                }
                match allowed.as_slice() {
                    [] => write!(f, ", the data may be nowhere"),
                    some => write!(f, ", the data may be in {} only", some.join(", ")),
                }
            }
            Constraint::Cpu | Constraint::Memory => {
                write!(f, "{value} {unit} free, {limit} {unit} needed")
            }
            Constraint::Source { source } => {
                write!(f, "the node of source {source} is down or not known")
            }
            Constraint::Latency { .. }
            | Constraint::Bandwidth { .. }
            | Constraint::Loss { .. }
            | Constraint::Arrival { .. }
            | Constraint::Jitter { .. }
            | Constraint::Outage { .. }
            | Constraint::Unplanned { .. }
            | Constraint::With { .. }
            | Constraint::Apart { .. } => self.fmt_tie(f),
            Constraint::Battery => {
                write!(f, "charge {value} % falls below the reserve of {limit} % at {at}")
            }
            Constraint::Temperature => {
                write!(f, "temperature {value} °C reaches the limit of {limit} °C at {at}")
            }
            Constraint::Shorter
            | Constraint::Farther
            | Constraint::Order
            | Constraint::Stays
            | Constraint::Copy
            | Constraint::Awaits { .. }
            | Constraint::Followers { .. } => self.fmt_lesser(f),
        }
    }
}

impl NodeRefusal {
    /// What is said of the paths to inputs, and of tasks that it goes with or keeps apart from.
    fn fmt_tie(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, limit, at) = (number(self.value), number(self.limit), clock(self.at));
        match &self.constraint {
            Constraint::Latency { to } => {
                write!(f, "latency to {to} {value} ms exceeds {limit} ms at {at}")
            }
            Constraint::Bandwidth { to } => {
                write!(f, "bandwidth to {to} {value} kbit/s falls below {limit} kbit/s at {at}")
            }
            Constraint::Loss { to } => {
                write!(f, "loss to {to} {value} % exceeds {limit} % at {at}")
            }
            Constraint::Jitter { to } => write!(
                f,
                "latency to {to} changes by {value} ms in a step, more than {limit} ms, at {at}"
            ),
            Constraint::Arrival { to, kib } if self.value < LatencyUs(u32::MAX).as_ms() => {
                write!(f, "{kib} KiB from {to} take {value} ms, more than {limit} ms, at {at}")
            }
            Constraint::Arrival { to, kib } => {
                write!(
                    f,
                    "{kib} KiB from {to} do not arrive in an hour, let alone {limit} ms, at {at}"
                )
            }
            Constraint::Outage { to } => write!(f, "no path to {to} at {at}"),
            Constraint::Unplanned { to } => {
                write!(f, "the contact plan does not know the path to {to} at {at}")
            }
            Constraint::With { task, node: Some(node) } => {
                write!(f, "{task} is on {node} at {at}, and this task shares its node")
            }
            Constraint::With { task, node: None } => {
                write!(f, "not known where {task} is at {at}, and this task shares its node")
            }
            Constraint::Apart { task } => {
                write!(f, "{task} is here at {at}, and this task keeps apart from it")
            }
            _ => Ok(()),
        }
    }

    /// What is said of a node that would do.
    fn fmt_lesser(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, limit) = (number(self.value), number(self.limit));
        match &self.constraint {
            Constraint::Shorter => write!(f, "holds for {value} s, the host for {limit} s"),
            Constraint::Farther => {
                write!(f, "holds as long, but at {value} ms now, the host at {limit} ms")
            }
            Constraint::Order => write!(f, "does as well, but comes later in order"),
            Constraint::Stays if self.value <= self.limit => {
                write!(f, "holds for {value} s, no longer than where the task is")
            }
            Constraint::Stays => {
                write!(
                    f,
                    "holds for {value} s, where the task is for {limit} s: too little to move for"
                )
            }
            Constraint::Copy => {
                write!(f, "holds for {value} s, but has no copy of the state")
            }
            Constraint::Awaits { task } => {
                write!(f, "would do, but {task} is to come there, and both do not fit")
            }
            Constraint::Followers { task } => write!(f, "would leave no node for {task}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Placed(plan) => plan.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl fmt::Display for Plan {
    /// One line for each task, and below it one for each node that does not host it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {:.0}", self.workflow, self.at)?;
        self.sets_aside.iter().try_for_each(|id| writeln!(f, "  sets {id} aside, for its room"))?;
        self.assignments.iter().try_for_each(|assignment| assignment.fmt(f))
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {} on {}", self.task, self.node)?;
        if let Some(latency) = self.latency_now {
            write!(f, " at {} ms", number(latency.as_ms()))?;
        }
        if let Some(replica) = &self.replica {
            write!(f, ", copy on {replica}")?;
        }
        writeln!(f, ": {}", self.because)?;
        self.refused.iter().try_for_each(|refusal| writeln!(f, "    {refusal}"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {:.0}: no node can host {}", self.workflow, self.at, self.task)?;
        self.nodes.iter().try_for_each(|refusal| writeln!(f, "    {refusal}"))?;
        self.alternatives.iter().try_for_each(|one| writeln!(f, "  {one}"))
    }
}

impl fmt::Display for Alternative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From { at } => write!(f, "feasible from {}", clock(*at)),
            Self::Latency { to, limit_ms, asked_ms } => {
                let (limit, asked) = (number(*limit_ms), number(*asked_ms));
                write!(f, "feasible with latency to {to} >= {limit} ms instead of {asked} ms")
            }
            Self::Bandwidth { to, limit_kbps, asked_kbps } => write!(
                f,
                "feasible with bandwidth to {to} <= {limit_kbps} kbit/s instead of {asked_kbps} kbit/s"
            ),
            Self::Arrival { to, limit_ms, asked_ms } => {
                let (limit, asked) = (number(*limit_ms), number(*asked_ms));
                write!(f, "feasible with arrival from {to} >= {limit} ms instead of {asked} ms")
            }
            Self::Loss { to, limit_ppm, asked_ppm } => {
                let [limit, asked] = [*limit_ppm, *asked_ppm].map(|ppm| f64::from(ppm) / 1e4);
                write!(f, "feasible with loss to {to} >= {limit} % instead of {asked} %")
            }
        }
    }
}
