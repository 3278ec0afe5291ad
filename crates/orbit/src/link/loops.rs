//! Loops: links that tie a forest together where satellites have few.
//!
//! - near (`*_loop`): a satellite with one link or more, but fewer than it wants less one, takes the nearest satellite
//!   with room, whatever tree it is in. Stardust's rule, the satellites taken in ascending order.
//! - smart (`*_smart_loop`), ours, as the paper tells it: a satellite with one link looks the opposite way. Of the
//!   [`SMART_CANDIDATES`] nearest in sight it takes the one with room whose direction makes the smallest cosine with
//!   that of its link, as the opposite neighbour of a grid would be. Satellites take turns in ascending order; who has been
//!   chosen as a partner in the meantime has two links and needs no third.
//! - smart, Stardust's: all pairs in range one end of which had one link in the forest, in ascending order (the original:
//!   in that of a hash map, and it may take a link of the forest again), while both ends want more.

use std::collections::BTreeSet;

use core::ops::Range;

use super::cells::Point;
use super::field::{Field, Search};
use super::protocol::{Isl, IslSet, LinkProtocol, Scene};
use super::rules::{Rulebook, Terms};
use super::sight::Sight;
use super::tree::{Tree, add, grow};
use crate::parallel::map_parts;
use crate::vector::{dot, minus};

/// Whom a leaf may choose from: the ring of satellites around it, so that loops stay short.
pub const SMART_CANDIDATES: usize = 8;
/// Whom a near loop looks at before it searches farther: as a rule one of them has room.
const NEAR_CANDIDATES: usize = 6;
/// Where to look first, in mean distances between neighbours: holds about as many as are wanted.
const START_SPACINGS: f64 = 1.8;
/// Satellites of one part: a hundred microseconds of work.
const PART: usize = 256;

/// Which loops are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loops {
    /// To the nearest with room.
    Near,
    /// From leaves, the opposite way.
    Smart,
}

/// A forest and its loops.
#[derive(Debug)]
pub(super) struct WithLoops<T> {
    name: &'static str,
    tree: T,
    loops: Loops,
    rulebook: Rulebook,
    sight: Sight,
    /// Nobody gets a loop beyond so many links.
    links_max: u32,
    neighbours: u32,
    links: Held,
}

impl<T: Tree> WithLoops<T> {
    pub(super) fn new(name: &'static str, tree: T, terms: &Terms, loops: Loops) -> Self {
        Self {
            name,
            tree,
            loops,
            rulebook: terms.rulebook,
            sight: terms.loop_sight,
            links_max: terms.loop_links_max,
            neighbours: u32::from(terms.neighbours),
            links: Held::default(),
        }
    }
}

impl<T: Tree> LinkProtocol for WithLoops<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn choose(&mut self, scene: &Scene<'_>, set: &mut IslSet) {
        grow(&mut self.tree, scene, set);
        self.links.reset(scene.positions_km.len(), &set.links, self.links_max);
        let field = self.tree.field();
        let search = Search {
            positions: scene.positions_km,
            sight: &self.sight,
            k: match self.loops {
                Loops::Near => NEAR_CANDIDATES,
                Loops::Smart => SMART_CANDIDATES,
            },
            start_spacings: START_SPACINGS,
        };
        let mut added = Vec::new();
        match (self.loops, self.rulebook) {
            (Loops::Near, _) => near(field, &search, self.neighbours, &mut self.links, &mut added),
            (Loops::Smart, Rulebook::Starbelt) => {
                smart(field, &search, &mut self.links, &mut added);
            }
            (Loops::Smart, Rulebook::Stardust) => {
                all_of_leaves(field, &search, &mut self.links, &mut added);
            }
        }
        add(&mut set.links, added);
    }
}

/// Links from satellites with few to the nearest with room.
fn near(
    field: &Field,
    search: &Search<'_>,
    neighbours: u32,
    held: &mut Held,
    added: &mut Vec<Isl>,
) {
    let wants =
        |held: &Held, own: u32| (1..neighbours.saturating_sub(1)).contains(&held.count(own));
    let few: Vec<u32> = held.satellites().filter(|own| wants(held, *own)).collect();
    let mut found = Vec::new();
    let nearest = Candidates::find(field, search, |own| wants(held, own));
    for own in few {
        let candidates = nearest.of(own);
        if !wants(held, own) || !held.has_room(own) {
            continue;
        }
        let fits = |other: u32| held.has_room(other) && !held.are_linked(own, other);
        let mut partner = candidates.iter().copied().find(|(_, other)| fits(*other));
        if partner.is_none() && search.k <= candidates.len() {
            let point = Point { id: own, at: search.positions[own as usize] };
            field.nearest(&Search { k: 1, ..*search }, &point, &mut found, fits);
            partner = found.first().copied();
        }
        if let Some((d2, other)) = partner {
            held.link(own, other, d2, added);
        }
    }
}

/// Links from leaves to the opposite of their only partner.
fn smart(field: &Field, search: &Search<'_>, held: &mut Held, added: &mut Vec<Isl>) {
    let leaves: Vec<u32> = held.satellites().filter(|own| held.count(*own) == 1).collect();
    let nearest = Candidates::find(field, search, |own| held.count(own) == 1);
    for own in leaves {
        let candidates = nearest.of(own);
        if held.count(own) != 1 || !held.has_room(own) {
            continue;
        }
        let at = |satellite: u32| search.positions[satellite as usize];
        let linked = minus(at(held.first_partner(own)), at(own));
        // |linked| is the same for all candidates and left out: c . l / |c| orders as the cosine does.
        let cosine = |other: u32, d2: f64| dot(linked, minus(at(other), at(own))) / d2.sqrt();
        let best = candidates
            .iter()
            .filter(|(_, other)| held.has_room(*other) && !held.are_linked(own, *other))
            .map(|(d2, other)| (cosine(*other, *d2), *d2, *other))
            .min_by(|x, y| x.0.total_cmp(&y.0).then(x.2.cmp(&y.2)));
        if let Some((_, d2, other)) = best {
            held.link(own, other, d2, added);
        }
    }
}

/// Links of all pairs in range that have a leaf, in ascending order, while there is room.
fn all_of_leaves(field: &Field, search: &Search<'_>, held: &mut Held, added: &mut Vec<Isl>) {
    let range2 = field.range_km(search.sight).powi(2);
    let leaves: Vec<bool> = held.satellites().map(|own| held.count(own) == 1).collect();
    let is_present = |satellite: u32| search.positions[satellite as usize][0].is_finite();
    let mut open = Open::new(held.satellites(), |one| is_present(one) && held.has_room(one));
    let mut open_leaves = Open::new(held.satellites(), |one| {
        leaves[one as usize] && is_present(one) && held.has_room(one)
    });
    for own in held.satellites() {
        let others = if leaves[own as usize] { &mut open } else { &mut open_leaves };
        let point = Point { id: own, at: search.positions[own as usize] };
        let mut full = Vec::new();
        let mut next = others.from(own + 1);
        while let Some(other) = next.filter(|_| held.has_room(own)) {
            let position = search.positions[other as usize];
            let d2 = point.distance2(position);
            let in_range = d2 <= range2 && search.sight.sees(point.at, position);
            if in_range && !held.are_linked(own, other) {
                held.link(own, other, d2, added);
                full.extend((!held.has_room(other)).then_some(other));
            }
            next = others.from(other + 1);
        }
        for other in full {
            open.close(other);
            open_leaves.close(other);
        }
    }
}

/// The nearest satellites in sight of some: squared distance and number, ascending.
#[derive(Debug, Default)]
struct Candidates {
    all: Vec<(f64, u32)>,
    /// Where those of each satellite lie in `all`.
    places: Vec<Range<u32>>,
}

impl Candidates {
    /// Searches in the order of places, which keeps memory near; the answers are by satellite.
    fn find(field: &Field, search: &Search<'_>, wanted: impl Fn(u32) -> bool) -> Self {
        let points = field.cells.points().iter().copied();
        let seekers: Vec<Point> = points.filter(|point| wanted(point.id)).collect();
        let parts = map_parts(&seekers, PART, |seekers| {
            let (mut found, mut all, mut counts) = (Vec::new(), Vec::new(), Vec::new());
            for own in seekers {
                field.nearest(search, own, &mut found, |_| true);
                all.extend_from_slice(&found);
                counts.push(u32::try_from(found.len()).expect("as many as are wanted"));
            }
            (all, counts)
        });
        let mut together = Self { all: Vec::new(), places: vec![0..0; search.positions.len()] };
        let mut owners = seekers.iter();
        let mut begin = 0;
        for (all, counts) in parts {
            together.all.extend(all);
            for (count, own) in counts.into_iter().zip(&mut owners) {
                together.places[own.id as usize] = begin..begin + count;
                begin += count;
            }
        }
        together
    }

    fn of(&self, own: u32) -> &[(f64, u32)] {
        let place = &self.places[own as usize];
        &self.all[place.start as usize..place.end as usize]
    }
}

/// The links that satellites hold, and how many they may.
#[derive(Debug, Default)]
struct Held {
    counts: Vec<u32>,
    /// The first partners of each satellite: all of them, where terminals are few.
    partners: Vec<[u32; FIRST_PARTNERS]>,
    /// The pairs that found no place there.
    others: BTreeSet<(u32, u32)>,
    links_max: u32,
}

/// Partners that are kept at hand: as many as satellites have terminals as a rule.
const FIRST_PARTNERS: usize = 4;

impl Held {
    fn reset(&mut self, satellites: usize, links: &[Isl], links_max: u32) {
        self.counts.clear();
        self.counts.resize(satellites, 0);
        self.partners.clear();
        self.partners.resize(satellites, [0; FIRST_PARTNERS]);
        self.others.clear();
        self.links_max = links_max;
        for link in links {
            self.add(link.a, link.b);
        }
    }

    fn satellites(&self) -> Range<u32> {
        0..u32::try_from(self.counts.len()).expect("satellites are counted in u32")
    }

    fn count(&self, satellite: u32) -> u32 {
        self.counts[satellite as usize]
    }

    fn has_room(&self, satellite: u32) -> bool {
        self.count(satellite) < self.links_max
    }

    /// The partner of the first link of a satellite that has one.
    fn first_partner(&self, satellite: u32) -> u32 {
        self.partners[satellite as usize][0]
    }

    fn are_linked(&self, a: u32, b: u32) -> bool {
        let count = self.counts[a as usize] as usize;
        self.partners[a as usize][..count.min(FIRST_PARTNERS)].contains(&b)
            || (FIRST_PARTNERS < count && self.others.contains(&(a.min(b), a.max(b))))
    }

    fn link(&mut self, a: u32, b: u32, d2: f64, added: &mut Vec<Isl>) {
        self.add(a, b);
        added.push(Isl { a: a.min(b), b: a.max(b), length_km: d2.sqrt() });
    }

    fn add(&mut self, a: u32, b: u32) {
        for (own, other) in [(a, b), (b, a)] {
            let count = &mut self.counts[own as usize];
            match self.partners[own as usize].get_mut(*count as usize) {
                Some(place) => *place = other,
                None => drop(self.others.insert((a.min(b), a.max(b)))),
            }
            *count += 1;
        }
    }
}

/// Satellites in ascending order, from which some drop out.
#[derive(Debug)]
struct Open(Vec<u32>);

impl Open {
    /// Those of `all` that are wanted.
    fn new(all: Range<u32>, wanted: impl Fn(u32) -> bool) -> Self {
        // Each points to itself or, closed, to one after it; the last entry is the end.
        let end = all.end;
        Self(all.map(|own| if wanted(own) { own } else { own + 1 }).chain([end]).collect())
    }

    /// The first that is open from `first` on.
    fn from(&mut self, first: u32) -> Option<u32> {
        let next = &mut self.0;
        let mut here = first;
        while next[here as usize] != here {
            let after = next[next[here as usize] as usize];
            next[here as usize] = after;
            here = after;
        }
        (here as usize + 1 < next.len()).then_some(here)
    }

    fn close(&mut self, satellite: u32) {
        self.0[satellite as usize] = satellite + 1;
    }
}
