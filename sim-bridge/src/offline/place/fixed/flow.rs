//! What workflows do: the published chain, and two of our own, one that forks and joins and one that is short and in a hurry.
//!
//! Latencies of the published chain are the published ones times 17.31/29.5, the share of the speed of light that its links had: light at its
//! full speed would meet them from anywhere.

use placement::{Input, Job, JobTask, Origin, Run};
use types::{Arch, Capacity, MiB, MilliCpu};

use super::demand::Request;
use super::fleet::WATTS_PER_CORE;

/// A kind of workflow.
#[derive(Debug, PartialEq)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// How often it is asked for, among the shares of all kinds.
    pub share: usize,
    /// Its tasks; the first is put on the edge node that asks.
    pub tasks: &'static [Spec],
    /// Its deadline, seconds after it was submitted.
    pub deadline_s: f64,
}

/// A task of a kind of workflow.
#[derive(Debug, PartialEq)]
pub struct Spec {
    /// Its name.
    pub name: &'static str,
    /// Processor, thousandths of a core, and memory, MiB.
    pub needs: (u32, u32),
    /// How long it runs on 64-bit ARM and on 64-bit x86, seconds.
    pub runs_s: (f64, f64),
    /// The tasks whose outputs it takes, and the longest latency from each, ms.
    pub inputs: &'static [(usize, f64)],
    /// The longest latency from the satellite that holds the data, ms.
    pub data_ms: Option<f64>,
}

/// By what the latencies of a workflow may be multiplied: some are in more of a hurry.
pub const STRICTNESS: [f64; 3] = [1.0, 0.5, 0.3];

/// All kinds.
pub const KINDS: [&Kind; 3] = [&WILDFIRE, &FLOOD, &WATCH];

/// What reads the sensors of an edge node: nobody places it, and it runs on what the node keeps for itself. The published one takes 2048 MiB of
/// what is offered to others, for good.
const INGEST: Spec =
    Spec { name: "ingest", needs: (0, 0), runs_s: (20.0, 20.0), inputs: &[], data_ms: None };

/// The published chain.
static WILDFIRE: Kind = Kind {
    name: "wildfire",
    share: 40,
    deadline_s: 1100.0,
    tasks: &[
        INGEST,
        Spec {
            name: "extract-frames",
            needs: (4000, 2048),
            runs_s: (60.0, 50.0),
            inputs: &[(0, 59.0)],
            data_ms: None,
        },
        Spec {
            name: "object-det",
            needs: (4000, 2048),
            runs_s: (600.0, 500.0),
            inputs: &[(1, 88.0)],
            data_ms: Some(103.0),
        },
        Spec {
            name: "prepare-ds",
            needs: (4000, 4096),
            runs_s: (90.0, 80.0),
            inputs: &[(2, 59.0)],
            data_ms: None,
        },
    ],
};

/// Two searches of the same tiles at the same time, and what they find put together.
static FLOOD: Kind = Kind {
    name: "flood",
    share: 30,
    deadline_s: 690.0,
    tasks: &[
        INGEST,
        Spec {
            name: "tile",
            needs: (2000, 1024),
            runs_s: (45.0, 36.0),
            inputs: &[(0, 50.0)],
            data_ms: None,
        },
        Spec {
            name: "water-det",
            needs: (2000, 1536),
            runs_s: (240.0, 200.0),
            inputs: &[(1, 70.0)],
            data_ms: Some(80.0),
        },
        Spec {
            name: "change-det",
            needs: (2000, 1536),
            runs_s: (300.0, 250.0),
            inputs: &[(1, 70.0)],
            data_ms: Some(80.0),
        },
        Spec {
            name: "fuse",
            needs: (2000, 2048),
            runs_s: (60.0, 50.0),
            inputs: &[(2, 60.0), (3, 60.0)],
            data_ms: None,
        },
    ],
};

/// Something is seen, and somebody told.
static WATCH: Kind = Kind {
    name: "watch",
    share: 30,
    deadline_s: 330.0,
    tasks: &[
        INGEST,
        Spec {
            name: "detect",
            needs: (2000, 1024),
            runs_s: (120.0, 100.0),
            inputs: &[(0, 30.0)],
            data_ms: Some(40.0),
        },
        Spec {
            name: "notify",
            needs: (500, 256),
            runs_s: (30.0, 25.0),
            inputs: &[(1, 30.0)],
            data_ms: None,
        },
    ],
};

/// The workflow of a request as policies see it, with its number in the run; nothing placed yet.
pub fn job(number: usize, request: &Request) -> Job {
    let task = |spec: &Spec| {
        let before = spec.inputs.iter().map(|(task, limit_ms)| Input {
            origin: Origin::Task(*task),
            latency_max_ms: Some(limit_ms * request.strictness),
        });
        let data = spec.data_ms.map(|limit_ms| Input {
            origin: Origin::Node(request.data),
            latency_max_ms: Some(limit_ms * request.strictness),
        });
        let (arm_s, x86_s) = spec.runs_s;
        JobTask {
            name: spec.name.to_owned(),
            needs: Capacity { milli_cpu: MilliCpu(spec.needs.0), memory_mib: MiB(spec.needs.1) },
            watts: f64::from(spec.needs.0) / 1000.0 * WATTS_PER_CORE,
            runs: vec![
                Run { arch: Arch::Arm64, seconds: arm_s },
                Run { arch: Arch::X86_64, seconds: x86_s },
            ],
            start: 0,
            inputs: before.chain(data).collect(),
            stays: vec![],
        }
    };
    Job { number, tasks: request.kind.tasks.iter().map(task).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_leave_time_for_the_slowest_run_and_the_retries() {
        for kind in KINDS {
            let mut ends_s: Vec<f64> = Vec::new();
            for spec in kind.tasks {
                let begin_s = spec.inputs.iter().map(|(task, _)| ends_s[*task]).fold(0.0, f64::max);
                ends_s.push(begin_s + spec.runs_s.0);
            }
            let longest_s = ends_s.into_iter().fold(0.0, f64::max);
            assert!(longest_s * 1.2 + 90.0 <= kind.deadline_s, "{}: {longest_s} s", kind.name);
        }
    }
}
