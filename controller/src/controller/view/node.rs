//! One node, with all that is known of it.

use protocol::report::{Reading, TaskStats};
use types::NodeId;

use super::millis;
use crate::api::{HostedTask, NodeInfo, NodeState, TaskCalls};
use crate::controller::Controller;
use crate::event::Now;
use crate::fleet::{Lease, Node};
use crate::hosting::{Host, TaskKey};
use crate::planner::{capacity, number};

impl Controller {
    pub(super) fn node_info(&self, now: Now, node: &Node) -> NodeInfo {
        let moment = self.moment(now);
        let here = moment.zip(self.plan.as_deref());
        let readings = &node.readings;
        let (power, thermal) = (readings.power.as_ref(), readings.thermal.as_ref());
        let compute = readings.compute.as_ref();
        let read = |reading: Option<Reading>| reading.and_then(number);
        let path = here.and_then(|(moment, plan)| {
            plan.state(&self.config.controller.name, node.id(), moment.sky).path()
        });
        let (generation, acknowledged) = self.executor.generations(node.id());
        let (events, events_lost) = node.events();
        let function = readings.function.as_ref();
        NodeInfo {
            id: node.id().clone(),
            kind: node.section.kind,
            region: node.section.region.clone(),
            trust: node.section.trust,
            arch: node.facts.as_ref().map(|facts| facts.arch),
            version: node.facts.as_ref().map(|facts| facts.version.clone()),
            state: match node.lease {
                Lease::Unheard => NodeState::Unheard,
                Lease::Up => NodeState::Up,
                Lease::Silent => NodeState::Silent,
                Lease::Down => NodeState::Down,
            },
            heard: node.lease != Lease::Unheard,
            age_ms: node.age(now.instant).map(millis),
            last_report_at: readings.at,
            uptime_ms: readings.uptime.map(|uptime| uptime.0),
            boots_seen: node.boots_seen,
            capacity: capacity(node),
            free: compute.map(|compute| compute.free),
            state_of_charge: read(power.map(|power| power.state_of_charge)),
            battery_wh: read(power.map(|power| power.capacity_wh)),
            load_w: read(power.map(|power| power.load_w)),
            solar_w: read(power.map(|power| power.solar_w)),
            energy: power.map(|power| power.source.clone()),
            sunlit: here
                .and_then(|(moment, plan)| plan.sunlit(node.id(), moment.sky))
                .map(f64::from),
            temperature_c: read(thermal.map(|thermal| thermal.hottest_c)),
            temperature_max_c: Some(node.section.temperature_max_c),
            load_milli_cpu: read(compute.map(|compute| compute.load_milli_cpu)),
            pss_mib: read(compute.map(|compute| compute.pss_mib)),
            threads: read(compute.map(|compute| compute.threads)),
            position: readings.position.as_ref().map(|position| position.position),
            latency_ms: path.map(|path| path.latency.as_ms()),
            state_bytes: readings.queue.as_ref().map(|queue| queue.state_bytes),
            code: function.and_then(|function| function.code),
            tasks: self.tasks_of(node.id()),
            calls: function.map(|function| calls(&function.tasks)).unwrap_or_default(),
            generation: generation.0,
            acknowledged: acknowledged.0,
            reports: node.reports,
            reports_missed: node.reports_missed,
            reports_late: node.reports_late,
            events_late: node.events_late,
            backlog: node.readings.backlog,
            life: node.readings.life.clone(),
            events,
            events_lost,
            frames_refused: node.frames_refused,
            frames_dropped: readings.queue.as_ref().map(|queue| queue.frames_dropped),
            flags: node.flags.iter().cloned().collect(),
        }
    }

    fn tasks_of(&self, node: &NodeId) -> Vec<HostedTask> {
        let role = |host: &Host| match &host.step {
            _ if host.node == *node => Some("owner"),
            Some(step) if step.to == *node => Some("standby"),
            _ if host.second_copy() == Some(node) => Some("replica"),
            _ => None,
        };
        let hosted = |(key, host): (&TaskKey, &Host)| {
            role(host).map(|role| HostedTask {
                workflow: key.workflow.clone(),
                task: key.task.clone(),
                role: role.to_owned(),
                phase: self.phase(node, key),
                owner_epoch: host.owner_epoch,
            })
        };
        self.hosting.iter().filter_map(hosted).collect()
    }
}

fn calls(tasks: &[TaskStats]) -> Vec<TaskCalls> {
    let one = |stats: &TaskStats| TaskCalls {
        workflow: stats.workflow.clone(),
        task: stats.task.clone(),
        backend: stats.backend,
        calls: stats.calls,
        failures: stats.failures,
        local_starts: stats.local_starts,
        wall_us: stats.wall_us,
        cpu_us: stats.cpu_us,
        cold_starts: stats.cold_starts,
        time_ms: stats.time_ms,
        energy_j: stats.energy_j,
        bytes: stats.bytes,
        rate_1min: stats.rate_1min,
        rate_30min: stats.rate_30min,
    };
    tasks.iter().map(one).collect()
}
