//! The rules of `controller.toml` that its types cannot say; all that are broken are reported together.

use std::net::{SocketAddr, ToSocketAddrs};

use protocol::join::{MEMBERS_MAX, Role};

use super::{Config, ConfigError, Layers, NodeSection, Problem};
use crate::registry::ADDRESSES_MAX;

/// Most nodes of a fleet, as on the wire.
const NODES_MAX: usize = 256;
/// Most grid points of a contact plan, as on the wire.
const STEPS_MAX: u64 = 12_000;

pub(super) fn check(config: &Config, layers: &Layers) -> Result<(), ConfigError> {
    let mut problems = Vec::new();
    let mut say = |section: &str, nth: usize, key: &str, rule: String| {
        problems.push(layers.problem(section, nth, key, rule));
    };
    if config.version != 1 {
        say(
            "",
            0,
            "version",
            format!("{} is not 1, the only version of this format", config.version),
        );
    }
    check_addresses(config, &mut say);
    check_members(config, &mut say);
    check_plan(config, &mut say);
    if config.lease.ms < 100 || 3_600_000 < config.lease.ms {
        say("lease", 0, "ms", format!("{} is outside 100 to 3600000", config.lease.ms));
    }
    if NODES_MAX < config.node.len() {
        say("node", NODES_MAX, "name", format!("a fleet has at most {NODES_MAX} nodes"));
    }
    for (nth, node) in config.node.iter().enumerate() {
        check_node(config, nth, node, &mut say);
    }
    finish(problems)
}

fn finish(problems: Vec<Problem>) -> Result<(), ConfigError> {
    if problems.is_empty() { Ok(()) } else { Err(ConfigError(problems)) }
}

fn check_addresses(config: &Config, say: &mut impl FnMut(&str, usize, &str, String)) {
    if !config.http.listen.ip().is_loopback() {
        say("http", 0, "listen", beyond_loopback(&config.http.listen.to_string()));
    }
    for address in &config.bus.listen {
        if let Err(rule) = check_address(config, address) {
            say("bus", 0, "listen", rule);
        }
    }
    for address in &config.bus.connect {
        if let Err(rule) = check_address(config, address) {
            say("bus", 0, "connect", rule);
        }
    }
    if let Some(Err(rule)) = config.sim.as_ref().map(|sim| check_address(config, &sim.connect)) {
        say("sim", 0, "connect", rule);
    }
}

fn beyond_loopback(address: &str) -> String {
    format!(
        "{address} is not a loopback address, and this API knows no certificates; listen on 127.0.0.1 (or [::1])"
    )
}

/// A link is TLS between members of the fleet, or stays on this machine and was asked to be insecure.
fn check_address(config: &Config, text: &str) -> Result<(), String> {
    let rule = || format!("{text:?} is not an address like tls/10.0.0.1:7447");
    let (protocol, rest) = text.split_once('/').ok_or_else(rule)?;
    match (protocol, config.bus.insecure) {
        ("tls", true) => Err(format!(
            "{text} is encrypted, but bus.insecure is set, which is for tcp/ on this machine alone; leave that out"
        )),
        ("tls", false) if config.identity.is_none() => Err(format!(
            "{text} needs certificates: run starbelt provision, and name its folder in [identity]"
        )),
        // Names are resolved when they are dialled: they may be unknown where there is no link yet.
        ("tls", false) => {
            let (host, port) = rest.rsplit_once(':').ok_or_else(rule)?;
            let is_right = !host.is_empty() && port.parse::<u16>().is_ok();
            is_right.then_some(()).ok_or_else(rule)
        }
        ("tcp", true) => match tcp_address(rest).ok_or_else(rule)?.ip().is_loopback() {
            true => Ok(()),
            false => Err(format!(
                "{text} is not a loopback address; bus.insecure is for this machine alone, links to others are tls/"
            )),
        },
        ("tcp", false) => Err(format!(
            "{text} is not encrypted; use tls/ with an [identity], or, for a trial on this machine alone, say insecure = true in [bus]"
        )),
        _ => Err(rule()),
    }
}

fn tcp_address(rest: &str) -> Option<SocketAddr> {
    // A name must resolve now; numbers never ask anyone.
    rest.parse().ok().or_else(|| rest.to_socket_addrs().ok()?.next())
}

fn check_members(config: &Config, say: &mut impl FnMut(&str, usize, &str, String)) {
    if let Some(identity) = &config.identity {
        if !(10..=630_720_000).contains(&identity.life_s) {
            let rule = format!("{} is outside 10 to 630720000", identity.life_s);
            say("identity", 0, "life_s", rule);
        }
        if ADDRESSES_MAX < identity.addresses.len() {
            let rule = format!("a certificate has at most {ADDRESSES_MAX} names and addresses");
            say("identity", 0, "addresses", rule);
        }
        if config.bus.insecure {
            let rule =
                "an [identity] is of no use while bus.insecure is set; leave one of them out";
            say("identity", 0, "authority", rule.to_owned());
        }
    }
    if MEMBERS_MAX - NODES_MAX - 1 < config.member.len() {
        say("member", 0, "name", "a fleet has at most 255 members besides its nodes".to_owned());
    }
    for (nth, member) in config.member.iter().enumerate() {
        if !matches!(member.role, Role::Viewer | Role::Bridge) {
            let rule = "a member besides the nodes is a viewer or a bridge".to_owned();
            say("member", nth, "role", rule);
        }
        let is_taken = member.name == config.controller.name
            || config.node.iter().any(|node| node.name == member.name)
            || config.member[..nth].iter().any(|other| other.name == member.name);
        if is_taken {
            say("member", nth, "name", format!("{} is taken already", member.name));
        }
    }
}

fn check_plan(config: &Config, say: &mut impl FnMut(&str, usize, &str, String)) {
    let plan = &config.plan;
    if !(100..=60_000).contains(&plan.step_ms) {
        say("plan", 0, "step_ms", format!("{} is outside 100 to 60000", plan.step_ms));
    } else {
        let steps = u64::from(plan.horizon_s) * 1000 / u64::from(plan.step_ms);
        if !(2..STEPS_MAX).contains(&steps) {
            let rule = format!(
                "{} s in steps of {} ms are {steps} grid points, outside 2 to {STEPS_MAX}",
                plan.horizon_s, plan.step_ms
            );
            say("plan", 0, "horizon_s", rule);
        }
    }
    if plan.refresh_s == 0 || plan.horizon_s <= plan.refresh_s {
        let rule =
            format!("{} is not between 1 and the horizon of {} s", plan.refresh_s, plan.horizon_s);
        say("plan", 0, "refresh_s", rule);
    }
    if let Some(guard_s) = plan.guard_s.filter(|guard_s| !(0.0..=3600.0).contains(guard_s)) {
        say("plan", 0, "guard_s", format!("{guard_s} is outside 0 to 3600"));
    }
    if 600_000 < plan.prepare_ms {
        say("plan", 0, "prepare_ms", format!("{} is more than 600000", plan.prepare_ms));
    }
}

fn check_node(
    config: &Config,
    nth: usize,
    node: &NodeSection,
    say: &mut impl FnMut(&str, usize, &str, String),
) {
    let name = &node.name;
    if *name == config.controller.name || config.node[..nth].iter().any(|n| n.name == *name) {
        say("node", nth, "name", format!("{name} is taken already"));
    }
    for (key, value, low, high) in [
        ("reserve", node.reserve, 0.0, 1.0),
        ("idle_w", node.idle_w, 0.0, 1e6),
        ("solar_w", node.solar_w, 0.0, 1e6),
        ("temperature_max_c", node.temperature_max_c, -150.0, 500.0),
        ("ambient_c", node.ambient_c.unwrap_or(0.0), -273.15, 500.0),
        ("heat_capacity_j_k", node.heat_capacity_j_k.unwrap_or(1.0), 1e-3, 1e9),
        ("conductance_w_k", node.conductance_w_k.unwrap_or(1.0), 1e-6, 1e6),
    ] {
        if !(low..=high).contains(&value) {
            say("node", nth, key, format!("{value} of {name} is outside {low} to {high}"));
        }
    }
}
