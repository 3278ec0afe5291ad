//! Terminals take time to find each other: chosen links carry later, and those they replace are kept until then.

use types::Epoch;

use super::cells::Point;
use super::protocol::{Isl, IslSet, LinkProtocol, Scene};
use super::rules::IslRules;
use crate::visibility::SightRule;

/// A protocol whose links carry only some time after they have been chosen.
///
/// A link that the inner protocol chooses is *acquired* from the instant on at which it was first chosen without
/// interruption, and carries once that took the acquisition time. The links of the first instant carry at once: the
/// simulation does not begin with a dark sky.
///
/// Hysteresis: a link that carried and is given up carries on while it is in sight, one of its ends has a link in
/// acquisition, and both ends have a terminal that no chosen link takes. So a satellite with a spare terminal makes the new
/// link before it breaks the old one, and a link that is given up for one instant comes back without a gap.
///
/// The links are then no spanning forest any more; it is reported only while all chosen links carry and no others.
#[derive(Debug)]
pub struct Acquisition {
    inner: Box<dyn LinkProtocol>,
    sight: SightRule,
    terminals: u32,
    acquisition_s: f64,
    /// The instant of the last call.
    last: Option<Epoch>,
    /// The chosen links and since when they are, ascending.
    chosen: Vec<(u32, u32, Epoch)>,
    /// The links that carried last, ascending.
    carrying: Vec<Isl>,
}

impl Acquisition {
    /// Wraps a protocol; of the rules it takes sight, terminals and time of acquisition.
    pub fn new(inner: Box<dyn LinkProtocol>, rules: &IslRules) -> Self {
        Self {
            inner,
            sight: rules.sight,
            terminals: u32::from(rules.terminals),
            acquisition_s: rules.acquisition_s,
            last: None,
            chosen: Vec::new(),
            carrying: Vec::new(),
        }
    }

    fn is_acquired(&self, since: Epoch, at: Epoch) -> bool {
        self.acquisition_s <= at.seconds_since(since)
    }

    /// Since when each of these links is chosen.
    fn note(&mut self, links: &[Isl], at: Epoch) {
        let is_first = self.last.is_none_or(|last| at < last);
        let acquired = at.plus_s(-self.acquisition_s);
        let since = |link: &Isl| {
            let known = self.chosen.binary_search_by_key(&(link.a, link.b), |(a, b, _)| (*a, *b));
            match known {
                Ok(place) if !is_first => self.chosen[place].2,
                _ if is_first || self.carried(link) => acquired,
                _ => at,
            }
        };
        self.chosen = links.iter().map(|link| (link.a, link.b, since(link))).collect();
        self.last = Some(at);
        if is_first {
            self.carrying.clear();
        }
    }

    fn carried(&self, link: &Isl) -> bool {
        self.carrying.binary_search_by_key(&(link.a, link.b), |kept| (kept.a, kept.b)).is_ok()
    }

    /// The links given up that carry on.
    fn kept(&self, scene: &Scene<'_>) -> Vec<Isl> {
        let mut free = vec![self.terminals; scene.positions_km.len()];
        let mut waits = vec![false; scene.positions_km.len()];
        for (a, b, since) in &self.chosen {
            for end in [*a, *b] {
                free[end as usize] = free[end as usize].saturating_sub(1);
                waits[end as usize] |= !self.is_acquired(*since, scene.at);
            }
        }
        let is_chosen = |link: &&Isl| {
            self.chosen.binary_search_by_key(&(link.a, link.b), |(a, b, _)| (*a, *b)).is_ok()
        };
        let mut kept = Vec::new();
        for link in self.carrying.iter().filter(|link| !is_chosen(link)) {
            let (a, b) = (link.a as usize, link.b as usize);
            let ends = [a, b].map(|end| scene.positions_km.get(end).copied());
            let [Some(from), Some(to)] = ends else { continue };
            let wanted = (waits[a] || waits[b]) && 0 < free[a] && 0 < free[b];
            if wanted && self.sight.distance_km(from, to).is_some() {
                free[a] -= 1;
                free[b] -= 1;
                let length_km = Point { id: link.a, at: from }.distance2(to).sqrt();
                kept.push(Isl { length_km, ..*link });
            }
        }
        kept
    }
}

impl LinkProtocol for Acquisition {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn choose(&mut self, scene: &Scene<'_>, set: &mut IslSet) {
        self.inner.choose(scene, set);
        self.note(&set.links, scene.at);
        let kept = self.kept(scene);
        let chosen = set.links.len();
        let mut since = self.chosen.iter();
        set.links.retain(|_| {
            since.next().is_some_and(|(_, _, since)| self.is_acquired(*since, scene.at))
        });
        if set.links.len() < chosen || !kept.is_empty() {
            set.forest = None;
        }
        set.links.extend(kept);
        super::tree::sort(&mut set.links);
        self.carrying.clone_from(&set.links);
    }
}
