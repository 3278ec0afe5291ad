//! Windows while a plan is made: opened and closed step by step, their ranges fitted minute by minute.

use std::cmp::Ordering;

use topology::{LinkWindow, NodeIx, RangeSegment};
use types::Epoch;

use super::PlanRequest;
use super::fit::Fit;
use super::parallel::{each, map};
use crate::confidence::{age_days, confidence_ppm};
use crate::geodesy;
use crate::link::Isl;
use crate::pass::Pass;
use crate::station::Station;
use crate::vector::{minus, norm};

const MINUTE_NS: i64 = 60_000_000_000;

/// A window whose end is not known yet.
struct Open {
    a: u32,
    b: u32,
    since: Epoch,
    /// Where it ended, in the minute that goes on.
    until: Option<Epoch>,
    range: Vec<RangeSegment>,
}

/// Where all nodes are at one step.
struct Sample {
    satellites_km: Vec<[f64; 3]>,
    stations_km: Vec<[f64; 3]>,
}

pub(super) struct Growing<'a> {
    request: &'a PlanRequest<'a>,
    fit: Fit,
    /// Links between satellites that are up, ascending by both ends.
    open: Vec<Open>,
    /// Those that ended in the minute that goes on.
    ended: Vec<Open>,
    /// Windows of the ground, ascending by beginning; those before `begun` have begun.
    ground: Vec<LinkWindow>,
    begun: usize,
    /// Those that have begun and not ended, by position in `ground`.
    ground_open: Vec<usize>,
    /// The steps of the minute that goes on.
    samples: Vec<Sample>,
    windows: Vec<LinkWindow>,
}

impl<'a> Growing<'a> {
    pub(super) fn new(request: &'a PlanRequest<'a>, ground: &[Pass]) -> Self {
        let first_station = request.elements.len();
        let node = |station: u32| {
            let number = u32::try_from(first_station).unwrap_or(u32::MAX);
            NodeIx(number.saturating_add(station))
        };
        let mut ground: Vec<LinkWindow> = ground
            .iter()
            // A pass without length was a touch of the mask.
            .filter(|pass| pass.rise < pass.set)
            .map(|pass| LinkWindow {
                a: NodeIx(pass.satellite),
                b: node(pass.site),
                open: pass.rise,
                close: pass.set,
                open_known: pass.rise_known,
                close_known: pass.set_known,
                rate_kbps: request.rates.ground_kbps,
                confidence_ppm: confidence(request, &[pass.satellite], pass.set),
                range: Vec::new(),
            })
            .collect();
        ground.sort_by_key(|window| (window.open, window.a, window.b));
        Self {
            request,
            fit: Fit::new(request.steps_per_minute()),
            open: Vec::new(),
            ended: Vec::new(),
            ground,
            begun: 0,
            ground_open: Vec::new(),
            samples: Vec::new(),
            windows: Vec::new(),
        }
    }

    /// Takes the links chosen at a step, ascending by both ends.
    pub(super) fn step(&mut self, at: Epoch, links: &[Isl]) {
        let before = std::mem::take(&mut self.open);
        let mut before = before.into_iter().peekable();
        let end = |mut open: Open, ended: &mut Vec<Open>| {
            open.until = Some(at);
            ended.push(open);
        };
        for link in links {
            let order = |open: &Open| (open.a, open.b).cmp(&(link.a, link.b));
            while let Some(gone) = before.next_if(|open| order(open) == Ordering::Less) {
                end(gone, &mut self.ended);
            }
            let stays = before.next_if(|open| order(open) == Ordering::Equal);
            let (a, b) = (link.a, link.b);
            let begins = || Open { a, b, since: at, until: None, range: Vec::new() };
            self.open.push(stays.unwrap_or_else(begins));
        }
        before.for_each(|gone| end(gone, &mut self.ended));
        // What ends at the turn of a minute has its ranges already.
        if at.unix_ns().rem_euclid(MINUTE_NS) == 0 {
            self.put_ended();
        }
    }

    /// Keeps the positions of a step for the fits of its minute.
    pub(super) fn keep(&mut self, at: Epoch, satellites_km: Vec<[f64; 3]>) {
        let sample = self.sample(at, satellites_km);
        self.samples.push(sample);
    }

    fn sample(&self, at: Epoch, satellites_km: Vec<[f64; 3]>) -> Sample {
        let (stations, propagator) = (self.request.stations, self.request.propagator);
        let turn = propagator.ground_turn(at);
        let position = |station: &Station| turn.to_teme(geodesy::to_ecef_km(&station.place_at(at)));
        Sample { satellites_km, stations_km: stations.iter().map(position).collect() }
    }

    /// Fits the ranges of all windows that the minute before `at` touched.
    pub(super) fn end_minute(&mut self, at: Epoch, satellites_km: &[[f64; 3]]) {
        let last = self.sample(at, satellites_km.to_vec());
        self.samples.push(last);
        let (fit, samples) = (&self.fit, &self.samples);
        let range = |a: u32, b: u32| fit.of(&ranges_km(samples, a, b));
        each(&mut self.open, |open| open.range.push(range(open.a, open.b)));
        each(&mut self.ended, |open| open.range.push(range(open.a, open.b)));
        while self.ground.get(self.begun).is_some_and(|window| window.open < at) {
            self.ground_open.push(self.begun);
            self.begun += 1;
        }
        let ground = &self.ground;
        let segment = |number: &usize| range(ground[*number].a.0, ground[*number].b.0);
        let segments = map(&self.ground_open, segment);
        for (number, segment) in self.ground_open.iter().zip(segments) {
            self.ground[*number].range.push(segment);
        }
        let ground = &self.ground;
        self.ground_open.retain(|number| at < ground[*number].close);
        self.put_ended();
        self.samples.clear();
    }

    fn put_ended(&mut self) {
        for open in std::mem::take(&mut self.ended) {
            let window = self.window(open);
            self.windows.push(window);
        }
    }

    fn window(&self, open: Open) -> LinkWindow {
        let (start, end) = (self.request.start, self.request.end);
        let close = open.until.unwrap_or(end);
        LinkWindow {
            a: NodeIx(open.a),
            b: NodeIx(open.b),
            open: open.since,
            close,
            open_known: start < open.since,
            close_known: open.until.is_some(),
            rate_kbps: self.request.rates.isl_kbps,
            confidence_ppm: confidence(self.request, &[open.a, open.b], close),
            range: open.range,
        }
    }

    /// All windows, in no order.
    pub(super) fn finish(mut self) -> Vec<LinkWindow> {
        for open in std::mem::take(&mut self.open) {
            let window = self.window(open);
            self.windows.push(window);
        }
        self.windows.append(&mut self.ground);
        self.windows
    }
}

/// The ranges between two nodes at the steps of a minute, km.
fn ranges_km(samples: &[Sample], a: u32, b: u32) -> Vec<f64> {
    let range = |sample: &Sample| norm(minus(sample.position_km(a), sample.position_km(b)));
    samples.iter().map(range).collect()
}

impl Sample {
    fn position_km(&self, node: u32) -> [f64; 3] {
        let node = node as usize;
        let station = || self.stations_km.get(node - self.satellites_km.len()).copied();
        self.satellites_km.get(node).copied().or_else(station).unwrap_or([f64::NAN; 3])
    }
}

/// How sure the older elements of these satellites leave a step at an instant.
fn confidence(request: &PlanRequest<'_>, satellites: &[u32], at: Epoch) -> u32 {
    let elements = satellites.iter().filter_map(|s| request.elements.get(*s as usize));
    let days = elements.map(|elements| age_days(elements, at)).fold(0.0, f64::max);
    confidence_ppm(days, f64::from(request.step_s))
}
