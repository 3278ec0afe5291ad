//! What the page needs of a run, gathered step by step in bounded memory.

use std::collections::BTreeMap;

use orbit::frame::PolarTurn;
use orbit::geodesy;
use types::{Epoch, Geodetic};

use super::super::facts::{LinkChange, LinkKind, StepFacts};
use super::super::real;
use super::page::Tile;
use super::scale::TimeAxis;
use super::series::{POINTS_MAX, Series};
use super::times::Histogram;
use crate::offline::sink::RunHead;
use crate::offline::summary::{RouteSummary, StepMs};

/// Routes with a line of their own: as many colours as people tell apart.
pub(super) const ROUTE_LINES_MAX: usize = 8;
/// Routes in the table.
const ROUTES_MAX: usize = 64;
/// Stations with a row of their own: what still can be read.
pub(super) const STATIONS_MAX: usize = 120;
/// Contacts that are kept: one takes 20 bytes of the page as a part of a path.
pub(super) const CONTACTS_MAX: usize = 60_000;
/// Satellites whose ground track is drawn: more would hide each other.
const TRACKS: usize = 3;

/// What the page needs of a run.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) head: RunHead,
    pub(super) steps: u64,
    pub(super) isl: Series,
    pub(super) tree_edges: Series,
    pub(super) components: Series,
    pub(super) ground: Series,
    pub(super) isl_changes: Series,
    pub(super) ground_changes: Series,
    pub(super) down: Series,
    pub(super) routes: Vec<RouteStory>,
    /// Share of stations that have a satellite in sight, and that hold a link; percent.
    pub(super) seen: Series,
    pub(super) linked: Series,
    /// Satellites in sight of each station, for the first ones.
    pub(super) in_sight: Vec<Series>,
    pub(super) contacts: Contacts,
    pub(super) parts_ms: [Series; 4],
    pub(super) step_ms: Series,
    pub(super) histogram: Histogram,
    pub(super) last: Option<LastMoment>,
    pub(super) tracks: Vec<Track>,
}

/// A route over the run.
#[derive(Debug)]
pub(super) struct RouteStory {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) latency: Series,
    pub(super) hops: Series,
    pub(super) reachable: u64,
    pub(super) changes: u64,
    path: Vec<String>,
}

/// A time in which a station held a link, in steps; `until` is the first step without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contact {
    pub(super) station: u32,
    pub(super) satellite: u32,
    pub(super) from: u64,
    pub(super) until: u64,
}

/// The contacts of the first stations.
#[derive(Debug)]
pub(super) struct Contacts {
    open: BTreeMap<(u32, u32), u64>,
    /// Those that ended, in the order of their ends.
    ended: Vec<Contact>,
    /// How many stations are kept; falls when there are too many contacts, so that the rows that stay are whole.
    pub(super) stations: u32,
    /// How many contacts of a single station are not kept.
    pub(super) cut: usize,
}

/// The sky at the last step so far.
#[derive(Clone, Debug)]
pub(super) struct LastMoment {
    pub(super) at: Epoch,
    pub(super) turn: PolarTurn,
    pub(super) positions_km: Vec<[f64; 3]>,
    pub(super) isl: Vec<(u32, u32)>,
    pub(super) ground: Vec<(u32, u32)>,
    pub(super) stations: Vec<(Geodetic, bool)>,
}

/// Where a satellite passed over the ground.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) satellite: usize,
    /// Keeps every so many steps.
    stride: u64,
    pub(super) places: Vec<Option<Geodetic>>,
}

impl Gathered {
    /// Nothing yet.
    pub(super) fn new(head: &RunHead) -> Self {
        let satellites = head.satellites.len();
        let tracks = (0..TRACKS.min(satellites)).map(|n| Track {
            satellite: n * satellites / TRACKS.min(satellites),
            stride: 1,
            places: Vec::new(),
        });
        Self {
            steps: 0,
            isl: Series::default(),
            tree_edges: Series::default(),
            components: Series::default(),
            ground: Series::default(),
            isl_changes: Series::default(),
            ground_changes: Series::default(),
            down: Series::default(),
            routes: Vec::new(),
            seen: Series::default(),
            linked: Series::default(),
            in_sight: vec![Series::default(); head.stations.len().min(STATIONS_MAX)],
            contacts: Contacts::new(head.stations.len()),
            parts_ms: std::array::from_fn(|_| Series::default()),
            step_ms: Series::default(),
            histogram: Histogram::default(),
            last: None,
            tracks: tracks.collect(),
            head: head.clone(),
        }
    }

    /// Takes a step.
    pub(super) fn take(&mut self, facts: &StepFacts<'_>) {
        self.take_links(facts);
        self.take_cover(facts);
        self.take_routes(&facts.summary.routes);
        self.take_times(&facts.summary.ms);
        let moment = facts.moment;
        let linked = facts.cover.iter().map(|cover| 0 < cover.linked);
        let stations = moment.stations.iter().map(|station| station.place).zip(linked).collect();
        let last = self.last.get_or_insert_with(|| LastMoment {
            at: moment.at,
            turn: moment.turn,
            positions_km: Vec::new(),
            isl: Vec::new(),
            ground: Vec::new(),
            stations: Vec::new(),
        });
        (last.at, last.turn, last.stations) = (moment.at, moment.turn, stations);
        last.positions_km.clone_from(&moment.positions_km);
        last.isl.clear();
        last.isl.extend(moment.isl.links.iter().map(|link| (link.a, link.b)));
        last.ground.clear();
        last.ground.extend(moment.ground.iter().map(|link| (link.station, link.satellite)));
        for track in &mut self.tracks {
            let place = last.place(track.satellite);
            track.push(self.steps, place);
        }
        self.steps += 1;
    }

    fn take_links(&mut self, facts: &StepFacts<'_>) {
        let summary = facts.summary;
        self.isl.push(Some(real(summary.links)));
        self.tree_edges.push(summary.tree_edges.map(real));
        self.components.push(Some(real(summary.components)));
        self.ground.push(Some(real(summary.ground_links)));
        self.down.push(Some(real(summary.down)));
        // All links of the first step are new: that is no change.
        let count = |kind| {
            let changes = facts.changes.iter().filter(|change| change.kind == kind).count();
            (0 < self.steps).then(|| real(changes))
        };
        let (isl, ground) = (count(LinkKind::Isl), count(LinkKind::Ground));
        self.isl_changes.push(isl);
        self.ground_changes.push(ground);
        for change in facts.changes.iter().filter(|change| change.kind == LinkKind::Ground) {
            self.contacts.take(self.steps, change);
        }
    }

    fn take_cover(&mut self, facts: &StepFacts<'_>) {
        let stations = facts.cover.len();
        let share = |count: usize| (0 < stations).then(|| 100.0 * real(count) / real(stations));
        self.seen.push(share(facts.cover.iter().filter(|cover| 0 < cover.in_sight).count()));
        self.linked.push(share(facts.cover.iter().filter(|cover| 0 < cover.linked).count()));
        for (series, cover) in self.in_sight.iter_mut().zip(facts.cover) {
            series.push(Some(f64::from(cover.in_sight)));
        }
    }

    fn take_routes(&mut self, routes: &[RouteSummary]) {
        if self.routes.is_empty() {
            let story = |route: &RouteSummary| RouteStory {
                from: route.from.clone(),
                to: route.to.clone(),
                latency: Series::default(),
                hops: Series::default(),
                reachable: 0,
                changes: 0,
                path: Vec::new(),
            };
            self.routes = routes.iter().take(ROUTES_MAX).map(story).collect();
        }
        for (story, route) in self.routes.iter_mut().zip(routes) {
            story.latency.push(route.latency_ms);
            story.hops.push(route.hops.map(real));
            story.reachable += u64::from(route.latency_ms.is_some());
            story.changes += u64::from(0 < self.steps && story.path != route.path);
            story.path.clone_from(&route.path);
        }
    }

    fn take_times(&mut self, ms: &StepMs) {
        let parts = [ms.positions, ms.links, ms.ground_links, ms.routing];
        for (series, ms) in self.parts_ms.iter_mut().zip(parts) {
            series.push(Some(ms));
        }
        let whole: f64 = parts.iter().sum();
        self.step_ms.push(Some(whole));
        self.histogram.add(whole);
    }

    /// Time since the start, along which everything is drawn.
    pub(super) fn time(&self) -> TimeAxis {
        TimeAxis::new(self.seconds(self.steps.saturating_sub(1)))
    }

    /// The time since the start at a step, seconds.
    pub(super) fn seconds(&self, step: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "steps of a run are far below 2^53")]
        {
            step as f64 * self.head.step_s
        }
    }

    /// The numbers on top of the page.
    pub(super) fn tiles(&self) -> Vec<Tile> {
        let tile = |label, value, note| Tile { label, value, note };
        let down = self.down.whole().map_or(0.0, |(_, _, high)| high);
        let time = self.time();
        let mut tiles = vec![
            tile("Satellites", self.head.satellites.len().to_string(), without_position(down)),
            tile("Stations", self.head.stations.len().to_string(), covered(&self.linked)),
            tile(
                "Simulated",
                format!("{:.1} {}", time.span(), time.unit),
                format!("{} steps of {} s", self.steps, self.head.step_s),
            ),
        ];
        if let Some((low, mean, high)) = self.isl.whole() {
            tiles.push(tile(
                "Satellite links",
                format!("{mean:.0}"),
                format!("{low:.0} to {high:.0}"),
            ));
        }
        let reachable: u64 = self.routes.iter().map(|route| route.reachable).sum();
        let asked = self.steps.saturating_mul(u64::try_from(self.routes.len()).unwrap_or(0));
        if 0 < asked {
            let percent = 100.0 * ratio(reachable, asked);
            tiles.push(tile(
                "Routes found",
                format!("{percent:.1} %"),
                format!("{reachable} of {asked}"),
            ));
        }
        if let Some((_, mean, high)) = self.step_ms.whole() {
            tiles.push(tile(
                "Computing a step",
                format!("{mean:.2} ms"),
                format!("at most {high:.2} ms"),
            ));
        }
        tiles
    }
}

/// The quotient of two counts.
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    {
        part as f64 / whole.max(1) as f64
    }
}

fn without_position(most: f64) -> String {
    if most < 1.0 {
        "all with a position".to_owned()
    } else {
        format!("at most {most:.0} without a position")
    }
}

fn covered(linked: &Series) -> String {
    linked.whole().map_or_else(String::new, |(_, mean, _)| format!("{mean:.1} % linked on average"))
}

impl Contacts {
    fn new(stations: usize) -> Self {
        let stations = u32::try_from(stations.min(STATIONS_MAX)).unwrap_or(0);
        Self { open: BTreeMap::new(), ended: Vec::new(), stations, cut: 0 }
    }

    fn take(&mut self, step: u64, change: &LinkChange) {
        let ends = (change.a, change.b);
        if self.stations <= change.a {
            return;
        }
        if change.opened {
            self.open.insert(ends, step);
        } else if let Some(from) = self.open.remove(&ends) {
            self.make_room();
            if change.a < self.stations && self.ended.len() < CONTACTS_MAX {
                let (station, satellite) = ends;
                self.ended.push(Contact { station, satellite, from, until: step });
            } else {
                self.cut += usize::from(change.a < self.stations);
            }
        }
    }

    /// Gives up the second half of the stations when there are too many contacts.
    fn make_room(&mut self) {
        while CONTACTS_MAX <= self.ended.len() && 1 < self.stations {
            self.stations /= 2;
            let kept = self.stations;
            self.ended.retain(|contact| contact.station < kept);
            self.open.retain(|(station, _), _| *station < kept);
        }
    }

    /// All contacts, those that still last cut at `end`; ascending by station and beginning.
    pub(super) fn until(&self, end: u64) -> Vec<Contact> {
        let lasting = self.open.iter().map(|((station, satellite), from)| Contact {
            station: *station,
            satellite: *satellite,
            from: *from,
            until: end,
        });
        let mut all: Vec<Contact> = self.ended.iter().copied().chain(lasting).collect();
        all.sort_unstable_by_key(|c| (c.station, c.from, c.satellite));
        all
    }
}

impl LastMoment {
    /// Where a satellite stands over the ground; `None` where it is down.
    pub(super) fn place(&self, satellite: usize) -> Option<Geodetic> {
        let position = self.positions_km.get(satellite)?;
        let known = position.iter().all(|axis| axis.is_finite());
        known.then(|| geodesy::from_ecef_km(self.turn.to_ecef(*position)))
    }
}

impl Track {
    fn push(&mut self, step: u64, place: Option<Geodetic>) {
        if !step.is_multiple_of(self.stride) {
            return;
        }
        self.places.push(place);
        if 2 * POINTS_MAX <= self.places.len() {
            let mut keep = false;
            self.places.retain(|_| {
                keep = !keep;
                keep
            });
            self.stride *= 2;
        }
    }

    /// Steps from one place to the next.
    pub(super) fn stride(&self) -> u64 {
        self.stride
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_too_many_contacts_fewer_stations_stay_each_with_all_of_theirs() {
        let mut contacts = Contacts::new(8);
        let change =
            |opened, a, b| LinkChange { kind: LinkKind::Ground, opened, a, b, length_km: None };
        // Each station holds a link for one step, and none at the next.
        for step in 0..20_000_u64 {
            let satellite = u32::try_from(step / 2).unwrap();
            for station in 0..8 {
                contacts.take(step, &change(step.is_multiple_of(2), station, satellite));
            }
        }
        assert_eq!((contacts.stations, contacts.cut), (4, 0));
        let all = contacts.until(20_000);
        assert_eq!(all.len(), 4 * 10_000);
        assert!(all.iter().all(|contact| contact.until == contact.from + 1));
    }
}
