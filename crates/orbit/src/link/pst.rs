//! Stardust's `pst`: each satellite in turn adds one link, the shortest one to another set.
//!
//! The satellites take their turns in ascending order. In its turn a satellite with a free terminal adds the shortest
//! link in sight that leads to a satellite of another set with a free terminal, if there is one. The result has up to
//! the limit of links per satellite and is spanning as a rule, but neither the shortest tree nor always a whole one. By
//! our own rules the satellites take further turns until no link can be added.

use topology::Sets;

use super::cells::Point;
use super::field::{Field, Search};
use super::protocol::Isl;
use super::rules::Terms;
use super::sight::Sight;
use super::tree::Tree;

/// Where to look first, in mean distances between neighbours: few satellites, but some, lie within.
const START_SPACINGS: f64 = 1.2;
/// When no more than one satellite in so many is outside the own set, those are looked at one by one: a search by place
/// would pass over all of one's own set first.
const RARE: usize = 16;

/// Protocol `pst`.
#[derive(Debug)]
pub(super) struct Pst {
    sight: Sight,
    terminals: u32,
    takes_more_turns: bool,
    field: Field,
    turns: Turns,
}

impl Pst {
    pub(super) fn new(terms: &Terms) -> Self {
        Self {
            sight: terms.pst_sight,
            terminals: terms.pst_terminals,
            takes_more_turns: terms.pst_takes_more_turns,
            field: Field::default(),
            turns: Turns::default(),
        }
    }
}

impl Tree for Pst {
    fn name(&self) -> &'static str {
        "pst"
    }

    fn grow(&mut self, positions: &[[f64; 3]], links: &mut Vec<Isl>) -> usize {
        self.field.prepare(positions);
        let search = Search { positions, sight: &self.sight, k: 1, start_spacings: START_SPACINGS };
        self.turns.begin(&self.field, positions.len(), self.terminals);
        let count = u32::try_from(positions.len()).expect("satellites are counted in u32");
        loop {
            let before = self.turns.components;
            for own in 0..count {
                // A satellite that is down has no neighbours to find.
                if 1 < self.turns.components && positions[own as usize][0].is_finite() {
                    self.turns.take(&self.field, &search, own, links);
                }
            }
            let after = self.turns.components;
            if !self.takes_more_turns || after <= 1 || after == before {
                return after;
            }
        }
    }

    fn field(&self) -> &Field {
        &self.field
    }
}

/// The state of the satellites' turns.
#[derive(Debug, Default)]
struct Turns {
    sets: Sets,
    free: Vec<u32>,
    components: usize,
    /// The satellites that were outside the set of `rare_for` when they were last listed.
    rare: Vec<Point>,
    rare_for: Option<u32>,
    found: Vec<(f64, u32)>,
}

impl Turns {
    fn begin(&mut self, field: &Field, satellites: usize, terminals: u32) {
        self.sets.reset(satellites);
        self.free.clear();
        self.free.resize(satellites, terminals);
        self.components = field.present();
        self.rare_for = None;
    }

    fn take(&mut self, field: &Field, search: &Search<'_>, own: u32, links: &mut Vec<Isl>) {
        if self.free[own as usize] == 0 {
            return;
        }
        let point = Point { id: own, at: search.positions[own as usize] };
        let size = self.sets.size_of(own) as usize;
        let mut found = core::mem::take(&mut self.found);
        if (field.present() - size) * RARE <= field.present() {
            self.look_at_rare(field, search, &point, &mut found);
        } else {
            let (sets, free) = (&mut self.sets, &self.free);
            let home = sets.of(own);
            field.nearest(search, &point, &mut found, |other| {
                0 < free[other as usize] && sets.of(other) != home
            });
        }
        if let Some((d2, other)) = found.first().copied() {
            self.sets.unite(own, other);
            self.free[own as usize] -= 1;
            self.free[other as usize] -= 1;
            self.components -= 1;
            let (a, b) = (own.min(other), own.max(other));
            links.push(Isl { a, b, length_km: d2.sqrt() });
        }
        self.found = found;
    }

    /// The same search among the few that are not of one's own set.
    fn look_at_rare(
        &mut self,
        field: &Field,
        search: &Search<'_>,
        own: &Point,
        found: &mut Vec<(f64, u32)>,
    ) {
        let home = self.sets.of(own.id);
        if self.rare_for != Some(home) {
            // A set keeps its name while it only takes up smaller ones, so this happens a few times only.
            let points = field.cells.points().iter();
            self.rare.clear();
            self.rare.extend(points.filter(|point| self.sets.of(point.id) != home));
            self.rare_for = Some(home);
        }
        let range_km = field.range_km(search.sight);
        let (sets, free) = (&mut self.sets, &self.free);
        self.rare.retain(|point| sets.of(point.id) != home);
        found.clear();
        let mut best = (range_km * range_km, u32::MAX);
        for point in &self.rare {
            let candidate = (point.distance2(own.at), point.id);
            if candidate <= best
                && 0 < free[point.id as usize]
                && search.sight.sees(own.at, search.positions[point.id as usize])
            {
                best = candidate;
            }
        }
        found.extend((best.1 != u32::MAX).then_some(best));
    }
}
