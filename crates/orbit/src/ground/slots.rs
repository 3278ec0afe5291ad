//! Stations that choose in slots and keep to it in between.

use types::Epoch;

use super::in_sight::sin_mask;
use super::{GroundLink, GroundPolicy, GroundScene};

/// A policy that is asked at the beginning of each slot only.
///
/// Within a slot a station keeps the satellites that stay in sight and waits where one has set.
#[derive(Debug)]
pub(super) struct Slots {
    inner: Box<dyn GroundPolicy>,
    slot_ns: i64,
    /// The slot for which `held` was chosen.
    slot: Option<i64>,
    /// Station and satellite, ascending.
    held: Vec<(u32, u32)>,
}

impl Slots {
    /// Wraps a policy; slots count from 1970.
    pub(super) fn new(inner: Box<dyn GroundPolicy>, slot_s: f64) -> Self {
        // Seconds to nanoseconds by way of an instant, which saturates.
        let slot_ns = Epoch::from_unix_ns(0).plus_s(slot_s).unix_ns().max(1);
        Self { inner, slot_ns, slot: None, held: Vec::new() }
    }
}

impl GroundPolicy for Slots {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn choose(&mut self, scene: &GroundScene<'_>, links: &mut Vec<GroundLink>) {
        let slot = scene.at.unix_ns().div_euclid(self.slot_ns);
        if self.slot == Some(slot) {
            links.clear();
            let held = self.held.iter();
            links.extend(held.filter_map(|(station, satellite)| seen(scene, *station, *satellite)));
        } else {
            self.inner.choose(scene, links);
            self.slot = Some(slot);
        }
        self.held.clear();
        self.held.extend(links.iter().map(|link| (link.station, link.satellite)));
    }
}

/// The link as it is now, if the satellite is still in sight.
fn seen(scene: &GroundScene<'_>, station: u32, satellite: u32) -> Option<GroundLink> {
    let there = *scene.positions_km.get(satellite as usize)?;
    let here = scene.stations.get(station as usize)?;
    let range_km = match here.min_elevation_deg {
        Some(_) => here.viewer.range_above_km(there, sin_mask(here))?,
        None => crate::vector::norm(crate::vector::minus(there, here.viewer.position_km)),
    };
    let elevation_deg = here.viewer.elevation_deg(there);
    range_km.is_finite().then_some(GroundLink { station, satellite, range_km, elevation_deg })
}
