//! When places see satellites: rise, set and highest elevation of each pass.
//!
//! The motion is sampled every [`STEP_S`]; what lies between samples is found by the slopes there and refined on the motion
//! itself, so that a grazing pass of a second is found as one of hours is. Geometric elevation, without refraction.

use types::{Epoch, Geodetic};

use crate::look::{Look, Observer};
use crate::propagate::{PropagateError, Propagator, State};
use crate::spans::{Sample, Span, peak, root, spans};
use crate::station::Station;
use crate::vector::{dot, norm};

/// Time between samples, s: within it the height above a mask has one extremum at most, since a low orbit's is concave while
/// in sight and a high one's changes over hours.
pub const STEP_S: f64 = 60.0;
/// Longest search, s: 366 days, 527,000 samples of a satellite.
pub const SEARCH_S_MAX: f64 = 366.0 * 86_400.0;
/// By how much the speed over the ground changes within [`STEP_S`] at most, km/s: gravity at the ground and the turn of the
/// axes for the farthest satellites.
const SPEED_CHANGE_KM_S: f64 = 1.2;
/// How far the height above a mask may bulge beyond the tangents at two samples, km: where the orbit is high, the ground's turn
/// bends it by up to 2e-3 km/s^2, over half a minute.
const BULGE_KM: f64 = 2.0;

/// Where a place is.
#[derive(Clone, Copy, Debug)]
pub enum Whereabouts<'a> {
    /// It stays.
    Fixed(Geodetic),
    /// It moves as this station does.
    Moving(&'a Station),
}

/// Over which time the speed of a moving place is measured, s.
const MOVE_S: f64 = 1.0;

impl<'a> Whereabouts<'a> {
    /// Where a station is.
    pub fn of(station: &'a Station) -> Self {
        if station.way.is_empty() { Self::Fixed(station.place) } else { Self::Moving(station) }
    }

    /// Somebody there at `at`.
    pub fn observer(&self, at: Epoch) -> Observer {
        match self {
            Self::Fixed(place) => Observer::at(place),
            Self::Moving(station) => {
                let (now, then) = (station.place_at(at), station.place_at(at.plus_s(MOVE_S)));
                Observer::between(&now, &then, MOVE_S)
            }
        }
    }
}

/// A place that satellites are seen from.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Where it is.
    pub place: Whereabouts<'a>,
    /// Lowest elevation at which it sees a satellite, degrees, 0 to below 90.
    pub min_elevation_deg: f64,
}

impl<'a> Site<'a> {
    /// A station, which sees from `min_elevation_deg` on.
    pub fn of(station: &'a Station, min_elevation_deg: f64) -> Self {
        Self { place: Whereabouts::of(station), min_elevation_deg }
    }
}

/// A time in which a site sees a satellite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pass {
    /// The satellite, by index.
    pub satellite: u32,
    /// The site, by index.
    pub site: u32,
    /// When it rises above the mask; the begin of the search if it was up then.
    pub rise: Epoch,
    /// When it sets below the mask; the end of the search if it is up then.
    pub set: Epoch,
    /// False when it was up at the begin of the search.
    pub rise_known: bool,
    /// False when it is up at the end of the search.
    pub set_known: bool,
    /// The highest elevation between `rise` and `set`, degrees.
    pub max_elevation_deg: f64,
    /// When it stands there.
    pub max_at: Epoch,
}

/// A search that cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum SearchError {
    /// The end does not come after the begin.
    #[error("the search from {from} to {to} has no length: the end must come after the begin")]
    Order {
        /// The begin.
        from: Epoch,
        /// The end.
        to: Epoch,
    },
    /// It is too long.
    #[error("the search from {from} to {to} must span at most 366 days")]
    Long {
        /// The begin.
        from: Epoch,
        /// The end.
        to: Epoch,
    },
    /// A mask that is none.
    #[error("the lowest elevation {degrees} of site {site} must be 0 to below 90 degrees")]
    Mask {
        /// The site, by index.
        site: usize,
        /// Its mask.
        degrees: f64,
    },
    /// A satellite that does not exist.
    #[error("satellite {satellite} must be below {satellites}, the number of satellites")]
    Satellite {
        /// Its index.
        satellite: u32,
        /// How many there are.
        satellites: usize,
    },
}

/// Where and when to search.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// The motion.
    pub propagator: &'a dyn Propagator,
    /// The begin.
    pub from: Epoch,
    /// The end.
    pub to: Epoch,
}

impl Search<'_> {
    /// The passes of these satellites over these sites, ascending by rise, satellite and site.
    ///
    /// A satellite is not in sight where the model has no position for it.
    ///
    /// # Errors
    /// [`SearchError`] for a span, a mask or a satellite that breaks a rule.
    pub fn passes(&self, satellites: &[u32], sites: &[Site<'_>]) -> Result<Vec<Pass>, SearchError> {
        self.check(satellites)?;
        for (site, Site { min_elevation_deg: degrees, .. }) in sites.iter().enumerate() {
            if !(0.0..90.0).contains(degrees) {
                return Err(SearchError::Mask { site, degrees: *degrees });
            }
        }
        let watches: Vec<Watch<'_>> = sites.iter().map(|site| Watch::new(*site)).collect();
        let mut found = per_satellite(satellites, |satellite| self.over(satellite, &watches));
        found.sort_unstable_by_key(|pass| (pass.rise, pass.satellite, pass.site));
        Ok(found)
    }

    /// Where a satellite stands for somebody at `place`, such as for the range within a pass.
    ///
    /// # Errors
    /// [`PropagateError`] where the model has no position.
    pub fn look(
        &self,
        satellite: usize,
        place: Whereabouts<'_>,
        at: Epoch,
    ) -> Result<Look, PropagateError> {
        let state = self.propagator.state(satellite, at)?;
        Ok(place.observer(at).look(self.propagator.ground_turn(at).state_to_ecef(state)))
    }

    pub(crate) fn check(&self, satellites: &[u32]) -> Result<(), SearchError> {
        let (from, to) = (self.from, self.to);
        if to <= from {
            return Err(SearchError::Order { from, to });
        }
        if SEARCH_S_MAX < self.length_s() {
            return Err(SearchError::Long { from, to });
        }
        let count = self.propagator.satellites();
        match satellites.iter().find(|satellite| count <= **satellite as usize) {
            Some(satellite) => {
                Err(SearchError::Satellite { satellite: *satellite, satellites: count })
            }
            None => Ok(()),
        }
    }

    fn length_s(&self) -> f64 {
        self.to.seconds_since(self.from)
    }

    /// The instants at which the motion is sampled, seconds from the begin: every [`STEP_S`], and the end.
    pub(crate) fn instants(&self) -> impl Iterator<Item = f64> {
        let length_s = self.length_s();
        let inner = (0_u32..).map(|step| f64::from(step) * STEP_S);
        inner.take_while(move |at_s| *at_s < length_s).chain([length_s])
    }

    fn over(&self, satellite: u32, watches: &[Watch<'_>]) -> Vec<Pass> {
        let track = Track { search: self, satellite: satellite as usize };
        let nodes: Vec<Node> = self.instants().map(|at_s| Node::new(&track, at_s)).collect();
        let passes = (0_u32..).zip(watches).flat_map(|(site, watch)| {
            let pass = move |span: Span| watch.pass(&track, (satellite, site), span);
            watch.spans(&track, &nodes).into_iter().map(pass)
        });
        passes.collect()
    }
}

/// `work` for each satellite, on all threads of the pool; the order of the results is that of the satellites.
pub(crate) fn per_satellite<T: Send>(
    satellites: &[u32],
    work: impl Fn(u32) -> Vec<T> + Sync,
) -> Vec<T> {
    #[cfg(feature = "parallel")]
    {
        use rayon::prelude::*;
        let parts: Vec<Vec<T>> = satellites.par_iter().map(|satellite| work(*satellite)).collect();
        parts.into_iter().flatten().collect()
    }
    #[cfg(not(feature = "parallel"))]
    satellites.iter().flat_map(|satellite| work(*satellite)).collect()
}

/// The motion of one satellite over the ground.
#[derive(Clone, Copy, Debug)]
struct Track<'a> {
    search: &'a Search<'a>,
    satellite: usize,
}

impl Track<'_> {
    fn epoch(&self, at_s: f64) -> Epoch {
        self.search.from.plus_s(at_s)
    }

    /// ECEF; `None` where the model has no position.
    fn state(&self, at_s: f64) -> Option<State> {
        let at = self.epoch(at_s);
        let state = self.search.propagator.state(self.satellite, at).ok()?;
        Some(self.search.propagator.ground_turn(at).state_to_ecef(state))
    }
}

/// The motion at a sampled instant.
#[derive(Clone, Copy, Debug)]
struct Node {
    at_s: f64,
    at: Epoch,
    state: Option<State>,
    /// How far the satellite can come within a step, km.
    reach_km: f64,
}

impl Node {
    fn new(track: &Track<'_>, at_s: f64) -> Self {
        let state = track.state(at_s);
        let speed_km_s = state.map_or(0.0, |(_, velocity)| norm(velocity));
        let reach_km = (speed_km_s + SPEED_CHANGE_KM_S) * STEP_S;
        Self { at_s, at: track.epoch(at_s), state, reach_km }
    }
}

/// A site on the look-out.
#[derive(Debug)]
struct Watch<'a> {
    site: Site<'a>,
    /// Of a site that stays.
    fixed: Option<Observer>,
    sin_mask: f64,
}

impl<'a> Watch<'a> {
    fn new(site: Site<'a>) -> Self {
        let fixed = match site.place {
            Whereabouts::Fixed(place) => Some(Observer::at(&place)),
            Whereabouts::Moving(_) => None,
        };
        Self { site, fixed, sin_mask: site.min_elevation_deg.to_radians().sin() }
    }

    fn observer(&self, at: Epoch) -> Observer {
        self.fixed.unwrap_or_else(|| self.site.place.observer(at))
    }

    fn spans(&self, track: &Track<'_>, nodes: &[Node]) -> Vec<Span> {
        let exact = |at_s: f64| match track.state(at_s) {
            None => Sample::never(at_s),
            Some(state) => self.sample(at_s, &self.observer(track.epoch(at_s)), state),
        };
        spans(nodes.iter().map(|node| self.sample_at(node)), exact, BULGE_KM)
    }

    /// As the exact sample, but [`Sample::never`] where the satellite cannot rise within a step.
    fn sample_at(&self, node: &Node) -> Sample {
        let Some(state) = node.state else { return Sample::never(node.at_s) };
        let observer = self.observer(node.at);
        let (towards, _) = observer.relative(state);
        if dot(observer.up(), towards) < -node.reach_km {
            return Sample::never(node.at_s);
        }
        self.sample(node.at_s, &observer, state)
    }

    /// Height above the cone of the mask: d . up - sin(mask) |d|, km.
    fn sample(&self, at_s: f64, observer: &Observer, state: State) -> Sample {
        let (towards, moving) = observer.relative(state);
        let (up, range_km) = (observer.up(), norm(towards));
        Sample {
            at_s,
            value: dot(up, towards) - self.sin_mask * range_km,
            slope: dot(up, moving) - self.sin_mask * dot(towards, moving) / range_km,
        }
    }

    /// The sine of the elevation, and its change per second.
    fn sin_elevation(&self, track: &Track<'_>, at_s: f64) -> (f64, f64) {
        let Some(state) = track.state(at_s) else { return (-1.0, 0.0) };
        let observer = self.observer(track.epoch(at_s));
        let (towards, moving) = observer.relative(state);
        let (up, range_km) = (observer.up(), norm(towards));
        let sine = dot(up, towards) / range_km;
        // s = u.d / |d|  =>  s' = (u.v - s d.v / |d|) / |d|
        (sine, (dot(up, moving) - sine * dot(towards, moving) / range_km) / range_km)
    }

    /// When the satellite stands highest within a span, and the sine of its elevation then.
    fn highest(&self, track: &Track<'_>, span: Span) -> (f64, f64) {
        let sine = |at_s: f64| self.sin_elevation(track, at_s).0;
        let slope = |at_s: f64| self.sin_elevation(track, at_s).1;
        let (low_s, high_s) = around_highest(&sine, span);
        let ends = (slope(low_s), slope(high_s));
        // The slope takes `up` for constant, which that of a moving site is not.
        if self.fixed.is_some() && 0.0 < ends.0 && ends.1 < 0.0 {
            let max_s = root(&slope, (low_s, ends.0), (high_s, ends.1));
            return (max_s, sine(max_s));
        }
        // It stands highest at an end, such as of a pass that the search cuts.
        peak(&sine, low_s, high_s)
    }

    fn pass(&self, track: &Track<'_>, (satellite, site): (u32, u32), span: Span) -> Pass {
        let (max_s, sin_max) = self.highest(track, span);
        Pass {
            satellite,
            site,
            rise: track.epoch(span.open_s),
            set: if span.close_known { track.epoch(span.close_s) } else { track.search.to },
            rise_known: span.open_known,
            set_known: span.close_known,
            max_elevation_deg: sin_max.clamp(-1.0, 1.0).asin().to_degrees(),
            max_at: track.epoch(max_s),
        }
    }
}

/// A part of a span, at most two steps long, in which the quantity is greatest.
///
/// Passes of hours may have several peaks.
fn around_highest(quantity: &impl Fn(f64) -> f64, span: Span) -> (f64, f64) {
    let length_s = span.close_s - span.open_s;
    if length_s <= 2.0 * STEP_S {
        return (span.open_s, span.close_s);
    }
    let inner = (1_u32..).map(|step| f64::from(step) * STEP_S).take_while(|s| *s < length_s);
    let (mut best_s, mut best) = (span.open_s, quantity(span.open_s));
    for at_s in inner.map(|s| span.open_s + s).chain([span.close_s]) {
        let value = quantity(at_s);
        if best < value {
            (best_s, best) = (at_s, value);
        }
    }
    ((best_s - STEP_S).max(span.open_s), (best_s + STEP_S).min(span.close_s))
}

#[cfg(test)]
mod tests;
