//! What speaks against a node as the host of a task: one rule for whoever filters and whoever explains.

use std::fmt;

use topology::NodeIx;
use types::{Arch, MiB, MilliCpu};

use super::World;
use crate::endurance::{Breach, Least, Limit};
use crate::forecast::{Excess, Step};
use crate::job::Job;

/// What speaks against a node, with the number that says so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Obstacle {
    /// It is down, or no node at all.
    Down,
    /// Its processor runs no code of the task.
    Arch(Arch),
    /// Something else takes it soon: nothing new begins on it.
    Closed,
    /// Too little processor is free at some time of the run.
    Cpu {
        /// The least that is free.
        free: MilliCpu,
        /// What the task is promised.
        needed: MilliCpu,
    },
    /// Too little memory is free at some time of the run.
    Memory {
        /// The least that is free.
        free: MiB,
        /// What the task is promised.
        needed: MiB,
    },
    /// In the published model of heat it would get warmer than it should.
    Warm {
        /// After the task, °C.
        after_c: f64,
        /// The most that it should have, °C.
        recommended_c: f64,
    },
    /// Battery or board do not bear it.
    Exhausted(Breach),
    /// An input is too far away, or cannot be reached.
    Far {
        /// When.
        step: Step,
        /// Which input, and how far.
        excess: Excess,
    },
}

impl World<'_, '_> {
    /// Whether a node has a place for a task in all of `from..until`: it must be there, be able to run the task, and have room.
    ///
    /// # Errors
    /// What speaks against it.
    pub fn admits(
        &self,
        node: NodeIx,
        (job, task): (&Job, usize),
        (from, until): (Step, Step),
    ) -> Result<(), Obstacle> {
        let of = &job.tasks[task];
        let view = self.nodes.get(node.index()).filter(|view| view.alive).ok_or(Obstacle::Down)?;
        if !of.runs_on(view.arch) {
            return Err(Obstacle::Arch(view.arch));
        }
        let (free, needed) = (self.book.free(node, from, until), of.needs);
        if free.milli_cpu < needed.milli_cpu {
            return Err(Obstacle::Cpu { free: free.milli_cpu, needed: needed.milli_cpu });
        }
        if free.memory_mib < needed.memory_mib {
            return Err(Obstacle::Memory { free: free.memory_mib, needed: needed.memory_mib });
        }
        Ok(())
    }

    /// The same for whoever knows what is to come: nothing else takes the node from then on, and it stays cool in the published model of heat
    /// where nothing better is known of its board.
    ///
    /// # Errors
    /// What speaks against it.
    pub(crate) fn suits(
        &self,
        node: NodeIx,
        (job, task): (&Job, usize),
        (from, until): (Step, Step),
    ) -> Result<(), Obstacle> {
        self.admits(node, (job, task), (from, until))?;
        if !self.book.is_open(node, from) {
            return Err(Obstacle::Closed);
        }
        let board = self.boards.get(node.index());
        if board.is_some_and(|(board, _)| board.thermal.is_some()) {
            return Ok(());
        }
        match self.heat_after(node, job, task) {
            Some((heat, after_c)) if heat.recommended_c < after_c => {
                Err(Obstacle::Warm { after_c, recommended_c: heat.recommended_c })
            }
            _ => Ok(()),
        }
    }

    /// The least that is left of charge and headroom, from now until an orbit after the end, if a node has a task in `from..until`.
    ///
    /// # Errors
    /// What is exhausted, and when.
    pub fn left_with(
        &self,
        node: NodeIx,
        (job, task): (&Job, usize),
        span: (Step, Step),
    ) -> Result<Least, Obstacle> {
        self.endures(node, job.tasks[task].watts, span, &[]).map_err(Obstacle::Exhausted)
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down => write!(f, "is down"),
            Self::Arch(arch) => write!(f, "its processor, {arch:?}, cannot run it"),
            Self::Closed => write!(f, "is taken by something else soon"),
            Self::Cpu { free, needed } => {
                write!(f, "{} mCPU free, {} mCPU needed", free.0, needed.0)
            }
            Self::Memory { free, needed } => {
                write!(f, "{} MiB free, {} MiB needed", free.0, needed.0)
            }
            Self::Warm { after_c, recommended_c } => {
                write!(f, "would have {after_c:.1} °C, {recommended_c:.1} °C are recommended")
            }
            Self::Exhausted(Breach { limit: Limit::Charge, step, value, bound }) => {
                let (value, bound) = (value * 100.0, bound * 100.0);
                write!(
                    f,
                    "charge falls to {value:.1} % at step {step}, {bound:.1} % are kept in reserve"
                )
            }
            Self::Exhausted(Breach { limit: Limit::Temperature, step, value, bound }) => {
                write!(f, "reaches {value:.1} °C at step {step}, {bound:.1} °C are the limit")
            }
            Self::Far { step, excess } => write!(f, "{excess} at step {step}"),
        }
    }
}
