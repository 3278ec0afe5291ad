//! Checks a `function.toml` completely: every problem with its line, field and rule.

use protocol::manifest::slots::{
    BUDGET_CALLS_MAX, BUDGET_CPU_MS_MAX, BUDGET_JOULES_MAX, DEVICES_MAX, RETRIES_MAX, Trigger,
    WARM_CALLS_MAX, WARM_IDLE_MS_MAX, WARM_IDLE_MS_MIN,
};
use protocol::manifest::{
    DEADLINE_MS_MAX, LABEL_BYTES_MAX, LATENCY_MS_MAX, LINEAR_MEMORY_MIB_MAX, RATE_MAX,
    WINDOW_S_MAX, is_label,
};

use super::{FunctionSection, Kind, SloSection, ValiditySection, WarmSection};
use crate::config::{Layers, Problem};
use crate::world;

/// A number with its section, key and range.
type Ranged = (&'static str, &'static str, Option<f64>, f64, f64);

/// Everything that is wrong with a function.
pub(super) fn problems(function: &FunctionSection, layers: &Layers) -> Vec<Problem> {
    let mut problems = function.problems_of_itself(layers);
    problems.extend(function.problems_of_kind(layers));
    problems.extend(function.problems_of_slots(layers));
    problems
}

impl FunctionSection {
    fn problems_of_itself(&self, layers: &Layers) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut say = |section: &str, nth: usize, key: &str, rule: String| {
            problems.push(layers.problem(section, nth, key, rule));
        };
        if self.version == 0 {
            say("function", 0, "version", "0 is not 1 or more".to_owned());
        }
        let is_component = self.kind == Kind::Component;
        if let Some(other) = self.world.as_ref().filter(|world| {
            is_component && ![world::NAME, world::STATEFUL].contains(&world.as_str())
        }) {
            let rule = format!(
                "{other:?} is neither {:?} nor {:?}, the worlds of this version",
                world::NAME,
                world::STATEFUL
            );
            say("function", 0, "world", rule);
        }
        let is_stateful = self.world.as_deref() == Some(world::STATEFUL);
        if self.warm.is_some() && is_component && !is_stateful {
            let rule = format!("only functions of world {:?} are kept warm", world::STATEFUL);
            say("function.warm", 0, "idle_ms", rule);
        }
        for (section, key, value, low, high) in self.numbers() {
            if let Some(value) = value.filter(|value| !(low..=high).contains(value)) {
                say(section, 0, key, format!("{value} is outside {low} to {high}"));
            }
        }
        let ValiditySection { not_before, not_after } = self.validity;
        if let Some((from, until)) = not_before.zip(not_after).filter(|(from, until)| until < from)
        {
            say(
                "function.validity",
                0,
                "not_after",
                format!("{until} is before not_before, {from}"),
            );
        }
        for (key, names) in [("topics", &self.grants.topics), ("models", &self.grants.models)] {
            for name in names.iter().filter(|name| !is_label(name)) {
                say("function.grants", 0, key, not_a_label(name));
            }
        }
        if let Some(name) = self.capability.as_ref().map(|c| &c.name).filter(|n| !is_label(n)) {
            say("function.capability", 0, "name", not_a_label(name));
        }
        for (nth, profile) in self.profile.iter().enumerate() {
            for (key, value) in
                [("milli_cpu", profile.milli_cpu), ("memory_mib", profile.memory_mib)]
            {
                if value == 0 {
                    say("function.profile", nth, key, "0 is not 1 or more".to_owned());
                }
            }
            if self.profile[..nth].iter().any(|other| other.id == profile.id) {
                say("function.profile", nth, "id", format!("{} is taken already", profile.id));
            }
        }
        if let Some(SloSection { latency_p95_ms, low_rate_latency_ms: Some(idle_ms), .. }) =
            self.slo.filter(|slo| slo.low_rate_latency_ms.is_some_and(|ms| ms < slo.latency_p95_ms))
        {
            let rule = format!("{idle_ms} is less than latency_p95_ms, {latency_p95_ms}");
            say("function.slo", 0, "low_rate_latency_ms", rule);
        }
        problems
    }

    fn problems_of_slots(&self, layers: &Layers) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut say = |section: &str, nth: usize, key: &str, rule: String| {
            problems.push(layers.problem(section, nth, key, rule));
        };
        for (nth, trigger) in self.trigger.iter().enumerate() {
            match trigger.trigger().as_ref().map(Trigger::validate) {
                None => say("function.trigger", nth, trigger.key(), trigger.rule_of_one()),
                Some(Err(rule)) => say("function.trigger", nth, trigger.key(), rule.to_owned()),
                Some(Ok(())) => {}
            }
        }
        for (nth, variant) in self.variant.iter().enumerate() {
            if !is_label(&variant.kind) {
                say("function.variant", nth, "kind", not_a_label(&variant.kind));
            }
        }
        let Self { needs, failure, data, .. } = self;
        let names = needs.services.iter().map(|name| ("function.needs", "services", name));
        let names = names
            .chain(needs.devices.iter().map(|device| ("function.needs", "devices", &device.kind)))
            .chain(self.input.iter().map(|payload| ("function.input", "schema", &payload.schema)))
            .chain(self.output.iter().map(|payload| ("function.output", "schema", &payload.schema)))
            .chain(data.regions.iter().map(|region| ("function.data", "regions", region)));
        for (section, key, name) in names.filter(|(_, _, name)| !is_label(name)) {
            say(section, 0, key, not_a_label(name));
        }
        for (nth, device) in needs.devices.iter().enumerate() {
            if needs.devices[..nth].iter().any(|other| other.kind == device.kind) {
                say("function.needs", 0, "devices", format!("{} is there twice", device.kind));
            }
        }
        if let Some(topic) =
            failure.dead_letter.as_ref().filter(|t| !self.grants.topics.contains(t))
        {
            let rule = format!("{topic:?} is none of the topics in function.grants");
            say("function.failure", 0, "dead_letter", rule);
        }
        for (nth, preference) in self.prefer.iter().enumerate() {
            if self.prefer[..nth].contains(preference) {
                say("function", 0, "prefer", format!("{preference:?} is there twice"));
            }
        }
        if let Err(rule) = self.sharing.sharing().validate() {
            say("function.sharing", 0, "tenants", rule.to_owned());
        }
        problems
    }

    fn numbers(&self) -> Vec<Ranged> {
        const LIMITS: &str = "function.limits";
        const EXEC: &str = "function.exec";
        const SLO: &str = "function.slo";
        const BUDGET: &str = "function.budget";
        let of = |number: u32| Some(f64::from(number));
        let maybe = |number: Option<u32>| number.map(f64::from);
        let float = |number: Option<f32>| number.map(f64::from);
        let (limits, exec) = (self.limits, &self.exec);
        let (slo, probe) = (self.slo, exec.probe);
        let (rate, wait_s) = (f64::from(RATE_MAX), f64::from(WINDOW_S_MAX));
        let latency_ms = f64::from(LATENCY_MS_MAX);
        let memory_mib = f64::from(LINEAR_MEMORY_MIB_MAX);
        let accuracy = self.capability.as_ref().and_then(|capability| capability.accuracy);
        let budget = self.budget;
        let mut numbers = vec![
            (LIMITS, "linear_memory_mib", maybe(limits.linear_memory_mib), 1.0, memory_mib),
            (LIMITS, "deadline_ms", of(limits.deadline_ms), 1.0, f64::from(DEADLINE_MS_MAX)),
            (EXEC, "gap_ms", maybe(exec.gap_ms), 0.0, latency_ms),
            (EXEC, "min_rate", float(exec.min_rate), 0.0, rate),
            (EXEC, "idle_rate", float(exec.idle_rate), 0.0, rate),
            (EXEC, "cold_wait_s", maybe(exec.cold_wait_s), 0.0, wait_s),
            (EXEC, "up_dwell_s", maybe(exec.up_dwell_s), 0.0, wait_s),
            (EXEC, "down_dwell_s", maybe(exec.down_dwell_s), 0.0, wait_s),
            (EXEC, "probe", float(probe.map(|probe| probe.share)), 0.0, 1.0),
            (EXEC, "probe", maybe(probe.map(|probe| probe.min)), 1.0, 1000.0),
            (EXEC, "probe", maybe(probe.map(|probe| probe.seconds)), 1.0, wait_s),
            (SLO, "latency_p95_ms", maybe(slo.map(|slo| slo.latency_p95_ms)), 1.0, latency_ms),
            (
                SLO,
                "low_rate_latency_ms",
                maybe(slo.and_then(|slo| slo.low_rate_latency_ms)),
                1.0,
                latency_ms,
            ),
            (SLO, "window_s", maybe(slo.and_then(|slo| slo.window_s)), 1.0, wait_s),
            (SLO, "throughput_min", float(slo.and_then(|slo| slo.throughput_min)), 0.0, rate),
            ("function.capability", "accuracy", float(accuracy), 0.0, 1.0),
            (
                "function.failure",
                "retries",
                of(u32::from(self.failure.retries)),
                0.0,
                f64::from(RETRIES_MAX),
            ),
            (BUDGET, "calls", maybe(budget.calls), 0.0, f64::from(BUDGET_CALLS_MAX)),
            (BUDGET, "cpu_ms", maybe(budget.cpu_ms), 1.0, f64::from(BUDGET_CPU_MS_MAX)),
            // A budget of nothing would let nothing run.
            (
                BUDGET,
                "joules",
                float(budget.joules),
                f64::from(f32::MIN_POSITIVE),
                f64::from(BUDGET_JOULES_MAX),
            ),
        ];
        if let Some(WarmSection { idle_ms, calls_max }) = self.warm {
            let (low, high) = (f64::from(WARM_IDLE_MS_MIN), f64::from(WARM_IDLE_MS_MAX));
            numbers.push(("function.warm", "idle_ms", of(idle_ms), low, high));
            let high = f64::from(WARM_CALLS_MAX);
            numbers.push(("function.warm", "calls_max", of(calls_max), 1.0, high));
        }
        let devices = self.needs.devices.iter();
        numbers.extend(devices.map(|device| {
            let count = of(u32::from(device.count));
            ("function.needs", "devices", count, 1.0, f64::from(DEVICES_MAX))
        }));
        let variants = self.variant.iter();
        numbers.extend(
            variants.map(|v| ("function.variant", "accuracy", float(v.accuracy), 0.0, 1.0)),
        );
        numbers
    }
}

fn not_a_label(text: &str) -> String {
    format!(
        "{text:?} is not a name of 1 to {LABEL_BYTES_MAX} characters of A-Z, a-z, 0-9, '.', '_', '-' and '/'"
    )
}
