//! The rules of a scenario that its types do not hold already.

use std::collections::BTreeSet;

use orbit::ground::GroundPolicyKind;
use orbit::link::ProtocolKind;
use orbit::station::{Station, StationProblem};

use super::{
    ENTRIES_MAX, FORMAT_VERSION, ROUTE_RESULTS_MAX, Reference, SPEED_MAX, SPEED_MIN, STEP_S_MAX,
    STEP_S_MIN, STEPS_MAX, Scenario, StationEntry, WorkflowEntry,
};
use crate::cli::source::SATELLITES_MAX;
use crate::offline::orchestrator::Registry;
use crate::offline::{link_cost, parts};
use crate::toml_file::Step;
use crate::toml_file::Step::{Index, Key};

/// Where a rule is broken, and which.
type Broken<'a> = (Vec<Step<'a>>, String);

/// Longest name of anything in a scenario, bytes.
const NAME_BYTES_MAX: usize = 100;
/// Most instances of a workflow at one step; each holds its tasks until its end.
const INSTANCES_MAX: u32 = 10_000;
/// Most tasks of a workflow: the search for a place may come back to each of them.
const TASKS_MAX: usize = 100;
/// Highest rate of a link, Mbit/s: what a graph holds in kbit/s.
const RATE_MBPS_MAX: f64 = 4_294_967.0;
/// What a task or a route may be bound to, ms: up to what a delay can be.
const LATENCY_MS: (f64, f64) = (0.0, 4_000_000.0);
/// Jitter of a link, microseconds: up to a second.
const JITTER_US: (f64, f64) = (0.0, 1.0e6);
/// Rain, mm/h: up to twice what the fits of the ITU were made for.
const RAIN_MM_H: (f64, f64) = (0.0, 300.0);
/// When things happen, seconds after the start: for 300 years.
const TIMES_S: (f64, f64) = (0.0, 1.0e10);
/// Longest delay that is added to a link, ms: a minute.
const EXTRA_DELAY_MS_MAX: f64 = 60_000.0;

/// Collects broken rules.
#[derive(Debug, Default)]
struct Report<'a>(Vec<Broken<'a>>);

impl<'a> Report<'a> {
    fn say(&mut self, path: &[Step<'a>], rule: impl Into<String>) {
        self.0.push((path.to_vec(), rule.into()));
    }

    /// Both ends are included; not a number is outside of every range.
    fn range(&mut self, path: &[Step<'a>], value: f64, (low, high): (f64, f64)) {
        if !(low..=high).contains(&value) {
            self.say(path, format!("{value} is outside {low} to {high}"));
        }
    }

    /// When an entry of a list begins and ends, seconds after the start.
    fn times(&mut self, [list, index]: [Step<'a>; 2], (from_s, to_s): (f64, Option<f64>)) {
        self.range(&[list, index, Key("from_s")], from_s, TIMES_S);
        match to_s {
            None => {}
            Some(to_s) if to_s <= from_s => {
                let rule = format!("{to_s} must come after from_s, which is {from_s}");
                self.say(&[list, index, Key("to_s")], rule);
            }
            Some(to_s) => self.range(&[list, index, Key("to_s")], to_s, TIMES_S),
        }
    }

    fn name(&mut self, path: &[Step<'a>], name: &str) {
        let fits = !name.trim().is_empty() && name.len() <= NAME_BYTES_MAX;
        if !fits || name.chars().any(char::is_control) {
            let rule = format!("{name:?} is not a name of 1 to {NAME_BYTES_MAX} printable bytes");
            self.say(path, rule);
        }
    }

    fn one_of<'n>(
        &mut self,
        path: &[Step<'a>],
        name: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) {
        let names: Vec<_> = names.into_iter().collect();
        if !names.contains(&name) {
            self.say(path, format!("{name:?} is not known; use one of {}", names.join(", ")));
        }
    }
}

impl Scenario {
    /// Every broken rule, with its place; orchestrators must be of the registry, if one is given.
    pub(super) fn problems(&self, orchestrators: Option<&Registry>) -> Vec<Broken<'_>> {
        let mut report = Report::default();
        self.check_head(&mut report);
        self.check_kinds(&mut report);
        self.check_links(&mut report);
        self.check_lists(&mut report);
        self.check_energy(&mut report);
        for (index, station) in self.stations.iter().enumerate() {
            check_station(&mut report, index, station);
        }
        self.check_terrestrial(&mut report);
        self.check_changes(&mut report);
        self.check_weather(&mut report);
        self.check_routes(&mut report);
        if let Some(orchestrators) = orchestrators {
            self.check_orchestrators(&mut report, orchestrators);
        }
        for (index, workflow) in self.workflows.iter().enumerate() {
            check_workflow(&mut report, index, workflow);
        }
        report.0
    }

    fn check_head<'a>(&'a self, report: &mut Report<'a>) {
        if self.version != FORMAT_VERSION {
            let rule = format!(
                "format {} is not known, this program reads {FORMAT_VERSION}",
                self.version
            );
            report.say(&[Key("version")], rule);
        }
        report.name(&[Key("name")], &self.name);
        report.range(&[Key("step_s")], self.step_s, (STEP_S_MIN, STEP_S_MAX));
        if let Some(satellites) = self.sources.satellites {
            let most = f64::from(SATELLITES_MAX);
            let path = [Key("sources"), Key("satellites")];
            report.range(&path, f64::from(satellites), (1.0, most));
        }
        if !(1..=STEPS_MAX).contains(&self.steps) {
            report.say(&[Key("steps")], format!("{} is outside 1 to {STEPS_MAX}", self.steps));
        }
        if let Some(speed) = self.speed {
            report.range(&[Key("speed")], speed, (SPEED_MIN, SPEED_MAX));
        }
        let routes = u64::try_from(self.routes.len()).unwrap_or(u64::MAX);
        if ROUTE_RESULTS_MAX < routes.saturating_mul(self.steps) {
            let rule = format!(
                "{routes} routes at {} steps are more than {ROUTE_RESULTS_MAX} results",
                self.steps
            );
            report.say(&[Key("route")], rule);
        }
    }

    fn check_kinds<'a>(&'a self, report: &mut Report<'a>) {
        report.one_of(&[Key("model")], &self.model, parts::MODELS);
        report.one_of(&[Key("router")], &self.router, parts::ROUTERS);
        let protocols = ProtocolKind::ALL.map(ProtocolKind::name);
        report.one_of(&[Key("links"), Key("protocol")], &self.links.protocol, protocols);
        let policies = GroundPolicyKind::ALL.map(GroundPolicyKind::name);
        report.one_of(&[Key("ground_links"), Key("policy")], &self.ground_links.policy, policies);
        let (isl, ground) = (link_cost::ISL_MODELS, link_cost::GROUND_MODELS);
        report.one_of(&[Key("link_model"), Key("isl")], &self.link_model.isl, isl);
        report.one_of(&[Key("link_model"), Key("ground")], &self.link_model.ground, ground);
    }

    fn check_links<'a>(&'a self, report: &mut Report<'a>) {
        let (links, ground, model) = (&self.links, &self.ground_links, &self.link_model);
        for (table, key, value, range) in [
            ("links", "range_max_km", links.range_max_km, (1.0, 50_000.0)),
            ("links", "grazing_altitude_km", links.grazing_altitude_km, (0.0, 5_000.0)),
            ("links", "terminals", f64::from(links.terminals), (1.0, 64.0)),
            ("links", "neighbours", f64::from(links.neighbours), (1.0, 64.0)),
            ("links", "acquisition_s", links.acquisition_s, (0.0, 3_600.0)),
            ("ground_links", "min_elevation_deg", ground.min_elevation_deg, (0.0, 89.0)),
            (
                "ground_links",
                "station_terminals",
                f64::from(ground.station_terminals),
                (1.0, 65_535.0),
            ),
            (
                "ground_links",
                "satellite_terminals",
                f64::from(ground.satellite_terminals),
                (1.0, 65_535.0),
            ),
            ("link_model", "isl_rate_mbps", model.isl_rate_mbps, (0.001, RATE_MBPS_MAX)),
            ("link_model", "ground_rate_mbps", model.ground_rate_mbps, (0.001, RATE_MBPS_MAX)),
            ("link_model", "processing_us", model.processing_us, (0.0, 1.0e6)),
            ("link_model", "isl_loss_ppm", f64::from(model.isl_loss_ppm), (0.0, 1.0e6)),
            ("link_model", "ground_loss_ppm", f64::from(model.ground_loss_ppm), (0.0, 1.0e6)),
            ("link_model", "isl_jitter_us", model.isl_jitter_us.unwrap_or(0.0), JITTER_US),
            ("link_model", "ground_jitter_us", model.ground_jitter_us.unwrap_or(0.0), JITTER_US),
            ("link_model", "ground_off_axis_deg", model.ground_off_axis_deg, (0.0, 10.0)),
        ] {
            report.range(&[Key(table), Key(key)], value, range);
        }
        if let Some(slot_s) = ground.reallocation_s {
            report.range(&[Key("ground_links"), Key("reallocation_s")], slot_s, (0.1, 3_600.0));
        }
    }

    fn check_lists<'a>(&'a self, report: &mut Report<'a>) {
        for (key, entries) in [
            ("station", self.stations.len()),
            ("terrestrial", self.terrestrial.len()),
            ("route", self.routes.len()),
            ("workflow", self.workflows.len()),
            ("change", self.changes.len()),
            ("weather", self.weather.len()),
        ] {
            if ENTRIES_MAX < entries {
                report.say(&[Key(key)], format!("{entries} entries are more than {ENTRIES_MAX}"));
            }
        }
    }

    fn check_energy<'a>(&'a self, report: &mut Report<'a>) {
        let Some(energy) = &self.plugin.energy else { return };
        for (key, value, range) in [
            ("battery_wh", energy.battery_wh, (0.001, 1.0e9)),
            ("charge_at_start", energy.charge_at_start, (0.0, 1.0)),
            ("solar_w", energy.solar_w, (0.0, 1.0e9)),
            ("idle_w", energy.idle_w, (0.0, 1.0e9)),
            ("core_w", energy.core_w, (0.0, 1.0e6)),
            ("reserve", energy.reserve, (0.0, 1.0)),
        ] {
            report.range(&[Key("plugin"), Key("energy"), Key(key)], value, range);
        }
    }

    fn check_terrestrial<'a>(&'a self, report: &mut Report<'a>) {
        for (index, cable) in self.terrestrial.iter().enumerate() {
            for (key, value, range) in [
                ("length_factor", cable.length_factor, (1.0, 100.0)),
                ("speed_factor", cable.speed_factor, (0.01, 1.0)),
                ("rate_mbps", cable.rate_mbps, (0.001, RATE_MBPS_MAX)),
                ("loss_ppm", f64::from(cable.loss_ppm), (0.0, 1.0e6)),
                ("jitter_us", cable.jitter_us.unwrap_or(0.0), JITTER_US),
            ] {
                report.range(&[Key("terrestrial"), Index(index), Key(key)], value, range);
            }
        }
    }

    fn check_changes<'a>(&'a self, report: &mut Report<'a>) {
        for (index, change) in self.changes.iter().enumerate() {
            let at = |key| [Key("change"), Index(index), Key(key)];
            if change.node.is_some() == change.link.is_some() {
                let rule = "must name either a node or a link";
                report.say(&[Key("change"), Index(index)], rule);
            }
            if let Some([a, b]) = &change.link
                && a == b
            {
                let rule =
                    format!("a link has two ends, these are both {a:?}; name a node instead");
                report.say(&at("link"), rule);
            }
            report.times([Key("change"), Index(index)], (change.from_s, change.to_s));
            if let Some(rate) = change.rate_max_mbps {
                report.range(&at("rate_max_mbps"), rate, (0.001, RATE_MBPS_MAX));
            }
            report.range(&at("extra_delay_ms"), change.extra_delay_ms, (0.0, EXTRA_DELAY_MS_MAX));
            report.range(&at("loss_min_ppm"), f64::from(change.loss_min_ppm), (0.0, 1.0e6));
        }
    }

    /// Without a budget that it weighs on, a rule of the weather would do nothing.
    fn check_weather<'a>(&'a self, report: &mut Report<'a>) {
        for (index, weather) in self.weather.iter().enumerate() {
            let path = [Key("weather"), Index(index)];
            report.range(&[path[0], path[1], Key("rain_mm_h")], weather.rain_mm_h, RAIN_MM_H);
            report.times(path, (weather.from_s, weather.to_s));
        }
        if link_cost::has_radio_budget(self) {
            return;
        }
        let rule = if self.is_published_model() {
            "does nothing under stardust-compat, whose links know no budget"
        } else {
            "does nothing without a radio budget: set link_model.ground = \"ka_ground\""
        };
        if !self.weather.is_empty() {
            report.say(&[Key("weather")], rule);
        }
        if 0.0 < self.link_model.ground_off_axis_deg {
            report.say(&[Key("link_model"), Key("ground_off_axis_deg")], rule);
        }
    }

    fn check_routes<'a>(&'a self, report: &mut Report<'a>) {
        for (index, route) in self.routes.iter().enumerate() {
            let at = |key| [Key("route"), Index(index), Key(key)];
            for (key, value, range) in [
                ("rate_min_mbps", route.rate_min_mbps, (0.001, RATE_MBPS_MAX)),
                ("latency_max_ms", route.latency_max_ms, LATENCY_MS),
                ("loss_max_ppm", route.loss_max_ppm, (0.0, 1.0e6)),
                ("jitter_max_ms", route.jitter_max_ms, LATENCY_MS),
            ] {
                if let Some(value) = value {
                    report.range(&at(key), value, range);
                }
            }
            if route.jitter_max_ms.is_some() && link_cost::jitter_us(self).is_none() {
                let rule = "needs the jitter of all links: set link_model.isl_jitter_us, \
                    link_model.ground_jitter_us, and jitter_us of each [[terrestrial]]";
                report.say(&at("jitter_max_ms"), rule);
            }
        }
    }

    fn check_orchestrators<'a>(&'a self, report: &mut Report<'a>, orchestrators: &Registry) {
        report.one_of(&[Key("orchestrator")], &self.orchestrator, orchestrators.names());
        for (index, workflow) in self.workflows.iter().enumerate() {
            if let Some(name) = &workflow.orchestrator {
                let path = [Key("workflow"), Index(index), Key("orchestrator")];
                report.one_of(&path, name, orchestrators.names());
            }
        }
    }
}

/// The rules of all stations, wherever they come from, with the keys that a scenario has.
fn check_station<'a>(report: &mut Report<'a>, index: usize, entry: &'a StationEntry) {
    for StationProblem { way_point, key, rule } in Station::from(entry).problems() {
        let key = Key(if key == "alt_km" { "alt_m" } else { key });
        let station = [Key("station"), Index(index)];
        match way_point {
            None => report.say(&[&station[..], &[key]].concat(), rule),
            Some(point) => {
                report.say(&[&station[..], &[Key("way"), Index(point), key]].concat(), rule);
            }
        }
    }
}

fn check_workflow<'a>(report: &mut Report<'a>, index: usize, workflow: &'a WorkflowEntry) {
    let at = |key| [Key("workflow"), Index(index), Key(key)];
    report.name(&at("name"), &workflow.name);
    if INSTANCES_MAX < workflow.instances {
        let rule = format!("{} is more than {INSTANCES_MAX}", workflow.instances);
        report.say(&at("instances"), rule);
    }
    if workflow.lifetime_steps == Some(0) {
        report.say(&at("lifetime_steps"), "0 steps are no life; leave it out for one without end");
    }
    if !(1..=TASKS_MAX).contains(&workflow.tasks.len()) {
        let rule = format!("{} tasks are outside 1 to {TASKS_MAX}", workflow.tasks.len());
        report.say(&at("task"), rule);
    }
    let mut before = BTreeSet::new();
    for (number, task) in workflow.tasks.iter().enumerate() {
        let at = |key| [Key("workflow"), Index(index), Key("task"), Index(number), Key(key)];
        report.name(&at("name"), &task.name);
        if let Some(limit) = task.latency_max_ms {
            report.range(&at("latency_max_ms"), limit, LATENCY_MS);
        }
        if let Reference::Task(name) = &task.to
            && !before.contains(name.as_str())
        {
            report.say(&at("to"), format!("{name:?} is no task that stands before this one"));
        }
        if task.on.is_empty() {
            report.say(&at("on"), "must name at least one of space, edge, cloud");
        }
        if !before.insert(task.name.as_str()) {
            let rule = format!("{:?} is the name of a task before this one", task.name);
            report.say(&at("name"), rule);
        }
    }
}
