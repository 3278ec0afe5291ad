//! What a bench measures: sizes, rows, targets.

use std::sync::Arc;

use orbit::elements::Elements;
use orbit::link::ProtocolKind;
use orbit::station::Station;

/// The sizes of the paper, and the largest one that is promised.
pub const SIZES: [usize; 4] = [250, 6_882, 20_646, 100_000];
/// The size at which most rows are measured.
pub const SIZE: usize = 20_646;
/// The size at which those rows are measured that the paper has only there.
pub const SIZE_SMALL: usize = 6_882;
/// Satellites at most: what can be numbered in two-line sets.
pub const SATELLITES_MAX: usize = orbit::tle::ALPHA5_MAX as usize;

/// The most that is good, by name of row; milliseconds, and megabytes for memory.
const TARGETS: [(&str, f64); 13] = [
    ("step_250_sats", 0.3),
    ("step_6882_sats", 8.0),
    ("step_20646_sats", 18.0),
    ("step_100000_sats", 150.0),
    ("load_20646", 200.0),
    ("peak_memory_20646", 100.0),
    ("run_100_steps_20646", 5_000.0),
    ("schedule_1_workflow_20646", 1.0),
    ("schedule_100_workflows_6882", 50.0),
    ("shortest_path_20646", 2.0),
    ("shortest_paths_85_sources_20646", 60.0),
    ("link_plan_6882x85_3h", 10_000.0),
    ("replay_step_20646", 1.0),
];

/// What is measured.
#[derive(Clone, Debug)]
pub struct BenchPlan {
    /// The satellites that the user has; Walker shells take the place of none.
    pub given: Arc<[Elements]>,
    /// Where they come from, for the rows.
    pub given_source: String,
    /// The stations.
    pub stations: Arc<[Station]>,
    /// Only this number of satellites; `None`: the sizes of the paper.
    pub satellites: Option<usize>,
    /// The protocol of the links.
    pub links: ProtocolKind,
    /// Steps of the row from beginning to end.
    pub steps: u32,
    /// Only rows whose names hold this.
    pub only: Option<String>,
}

impl BenchPlan {
    /// The sizes of the rows of steps.
    pub fn sizes(&self) -> Vec<usize> {
        self.satellites.map_or_else(|| SIZES.to_vec(), |satellites| vec![satellites])
    }

    /// The size of the other rows; `paper`: the size that they have in the paper.
    pub fn size(&self, paper: usize) -> usize {
        self.satellites.unwrap_or(paper)
    }

    /// Whether a row is wanted.
    pub fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }
}

/// The target of a row; `None` for a row that only informs.
pub fn target(name: &str) -> Option<f64> {
    TARGETS.iter().find(|(of, _)| *of == name).map(|(_, target)| *target)
}
