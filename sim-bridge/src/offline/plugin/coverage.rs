//! How well stations are served: linked stations, and for how long any of them was without a satellite.

use super::{Figure, Plugin, PluginError};
use crate::offline::simulation::SimulationView;

/// Counts, per station, the steps with a link, and the longest run of steps without.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    steps: u64,
    stations: Vec<Served>,
    links: u64,
}

/// One station.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Steps with at least one link.
    pub linked_steps: u64,
    /// The longest run of steps without a link.
    pub longest_gap_steps: u64,
    /// Steps without a link since the last one with.
    gap_steps: u64,
}

impl Coverage {
    /// A station's record so far; `None` for one that does not exist.
    pub fn served(&self, station: usize) -> Option<Served> {
        self.stations.get(station).copied()
    }
}

impl Plugin for Coverage {
    fn name(&self) -> &'static str {
        "coverage"
    }

    fn after_step(&mut self, view: &mut SimulationView<'_>) -> Result<(), PluginError> {
        let Some(moment) = view.moment() else { return Ok(()) };
        self.steps += 1;
        self.stations.resize(moment.stations.len(), Served::default());
        // Links are ascending by station.
        let mut links = moment.ground.iter().peekable();
        for (station, served) in (0_u32..).zip(&mut self.stations) {
            let mut linked = 0;
            while links.next_if(|link| link.station == station).is_some() {
                linked += 1;
            }
            self.links += linked;
            if linked == 0 {
                served.gap_steps += 1;
                served.longest_gap_steps = served.longest_gap_steps.max(served.gap_steps);
            } else {
                served.linked_steps += 1;
                served.gap_steps = 0;
            }
        }
        Ok(())
    }

    fn figures(&self) -> Vec<Figure> {
        #[expect(clippy::cast_precision_loss, reason = "shares of counts below 2^53")]
        let float = |count: u64| count as f64;
        let stations = u64::try_from(self.stations.len()).unwrap_or(u64::MAX);
        let all = stations.saturating_mul(self.steps);
        let share = |part: u64| (0 < all).then(|| float(part) / float(all));
        let linked = self.stations.iter().map(|served| served.linked_steps).sum();
        let gap = self.stations.iter().map(|served| served.longest_gap_steps).max();
        vec![
            Figure { name: "linked_share", value: share(linked) },
            Figure { name: "links_per_station", value: share(self.links) },
            Figure { name: "longest_gap_steps", value: gap.map(float) },
        ]
    }
}
