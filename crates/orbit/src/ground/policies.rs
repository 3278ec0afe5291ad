//! The policies, one after the other.

use types::Epoch;

use super::assign::{Terminals, in_turns};
use super::in_sight::{InSight, Seen};
use super::pass_end::PassEnds;
use super::slots::Slots;
use super::{GroundLink, GroundPolicy, GroundPolicyKind, GroundScene};

/// The policy of this kind.
///
/// With `reallocation_s` (Starlink: 15) stations choose only at the beginnings of slots of so many seconds since 1970, and
/// keep in between what stays in sight. `None` or nothing above zero: they choose at every instant.
pub fn policy(kind: GroundPolicyKind, reallocation_s: Option<f64>) -> Box<dyn GroundPolicy> {
    let policy = Policy {
        kind,
        sight: InSight::default(),
        ends: PassEnds::default(),
        held: Vec::new(),
        last: None,
    };
    match reallocation_s {
        Some(slot_s) if 0.0 < slot_s => Box::new(Slots::new(Box::new(policy), slot_s)),
        _ => Box::new(policy),
    }
}

#[derive(Debug)]
struct Policy {
    kind: GroundPolicyKind,
    sight: InSight,
    ends: PassEnds,
    /// Station and satellite of the links of the last instant.
    held: Vec<(u32, u32)>,
    last: Option<Epoch>,
}

impl GroundPolicy for Policy {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn choose(&mut self, scene: &GroundScene<'_>, links: &mut Vec<GroundLink>) {
        links.clear();
        self.sight.prepare(scene.positions_km);
        let mut terminals = Terminals::new(scene);
        match self.kind {
            GroundPolicyKind::AllVisible => {
                let seen = self.sight.of_all(scene);
                let all = (0_u32..).zip(&seen);
                links.extend(
                    all.flat_map(|(station, seen)| seen.iter().map(move |seen| seen.link(station))),
                );
            }
            GroundPolicyKind::Nearest => {
                in_turns(&mut terminals, &self.nearest(scene), links);
            }
            GroundPolicyKind::HighestElevation => {
                let mut wishes = self.sight.of_all(scene);
                for wishes in &mut wishes {
                    wishes.sort_by(|x, y| y.sin_elevation.total_cmp(&x.sin_elevation));
                }
                in_turns(&mut terminals, &wishes, links);
            }
            GroundPolicyKind::LongestPass => {
                let seen = self.sight.of_all(scene);
                in_turns(&mut terminals, &self.longest(scene, seen), links);
            }
            GroundPolicyKind::FewestHandovers => self.fewest(scene, terminals, links),
        }
    }
}

impl Policy {
    /// The satellites of each station by distance; of those without a mask all that can matter.
    fn nearest(&self, scene: &GroundScene<'_>) -> Vec<Vec<Seen>> {
        let mut wishes = self.sight.of_all(scene);
        for wishes in &mut wishes {
            wishes.sort_by(|x, y| x.range_km.total_cmp(&y.range_km));
        }
        if scene.stations.iter().all(|station| station.min_elevation_deg.is_some()) {
            return wishes;
        }
        let most = scene.stations.iter().map(|station| usize::from(station.terminals)).max();
        let own = most.unwrap_or(0);
        // Where satellites can be full, others may have taken as many as all stations can hold.
        let contended = usize::from(scene.satellite_terminals) < scene.stations.len();
        let wanted = if contended { own * scene.stations.len() } else { own };
        let nearest = self.sight.nearest_of_all(scene, wanted);
        let unmasked = scene.stations.iter().map(|station| station.min_elevation_deg.is_none());
        for ((wishes, nearest), unmasked) in wishes.iter_mut().zip(nearest).zip(unmasked) {
            if unmasked {
                *wishes = nearest;
            }
        }
        wishes
    }

    /// The satellites of each station, those that stay longest first; ties to the lower number.
    fn longest(&mut self, scene: &GroundScene<'_>, seen: Vec<Vec<Seen>>) -> Vec<Vec<Seen>> {
        let ends = self.ends.of_all(scene, &seen);
        let order = |(seen, ends): (Vec<Seen>, Vec<Epoch>)| {
            let mut both: Vec<(Seen, Epoch)> = seen.into_iter().zip(ends).collect();
            both.sort_by(|(_, x), (_, y)| y.cmp(x));
            both.into_iter().map(|(seen, _)| seen).collect()
        };
        seen.into_iter().zip(ends).map(order).collect()
    }

    /// First what is held and still in sight, then those that stay longest.
    fn fewest(
        &mut self,
        scene: &GroundScene<'_>,
        mut terminals: Terminals<'_>,
        links: &mut Vec<GroundLink>,
    ) {
        if self.last.is_some_and(|last| scene.at < last) {
            self.held.clear();
        }
        self.last = Some(scene.at);
        let mut seen = self.sight.of_all(scene);
        for (station, satellite) in &self.held {
            let Some(own) = seen.get_mut(*station as usize) else { continue };
            let place = own.binary_search_by_key(satellite, |seen| seen.satellite);
            if let Ok(place) = place
                && terminals.take(*station as usize, *satellite)
            {
                links.push(own.remove(place).link(*station));
            }
        }
        // Pass ends are dear: only stations that look for a satellite need them.
        for (station, own) in seen.iter_mut().enumerate() {
            if !terminals.has_free(station) {
                own.clear();
            }
        }
        in_turns(&mut terminals, &self.longest(scene, seen), links);
        self.held.clear();
        self.held.extend(links.iter().map(|link| (link.station, link.satellite)));
    }
}
