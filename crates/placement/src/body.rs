//! The battery and the board of a node in the time ahead: how charge and temperature follow from load
//! and light.

use types::Epoch;

use crate::constraint::{Constraint, NodeRefusal};
use crate::view::NodeView;

/// Share of the panels' energy that reaches the battery: a usual figure for lithium cells and their
/// charger, to be replaced by a measured one.
const CHARGE_EFFICIENCY: f64 = 0.95;
/// Share of the battery's energy that reaches the load, likewise.
const DISCHARGE_EFFICIENCY: f64 = 0.95;
/// Charge that rounding may cost.
const CHARGE_SLACK: f64 = 1e-9;

const S_PER_H: f64 = 3600.0;

/// Charge and temperature at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Body<'a> {
    node: &'a NodeView,
    /// 0 to 1; `None` for a node without battery.
    charge: Option<f64>,
    /// °C; `None` where neither a temperature nor its cause is known.
    temperature_c: Option<f64>,
}

impl<'a> Body<'a> {
    /// The node as reported, under a load in watts. Unknown charge counts as the reserve, unknown
    /// temperature as the equilibrium under that load.
    pub(crate) fn new(node: &'a NodeView, load_w: f64) -> Self {
        let charge = node.battery_wh.map(|_| node.state_of_charge.unwrap_or(node.reserve));
        let temperature_c = node.temperature_c.or_else(|| equilibrium_c(node, load_w));
        Self { node, charge, temperature_c }
    }

    /// The node in this state. What is not known of it now is not known later.
    pub(crate) fn as_view(&self) -> NodeView {
        let mut view = self.node.clone();
        if let Some(charge) = self.charge.filter(|_| view.state_of_charge.is_some()) {
            view.state_of_charge = Some(charge);
        }
        if view.temperature_c.is_some() {
            view.temperature_c = self.temperature_c;
        }
        view
    }

    /// Whether no load can ever make it fail.
    pub(crate) fn is_unlimited(&self) -> bool {
        self.charge.is_none() && self.temperature_c.is_none()
    }

    /// The state after `seconds` under a load in watts and a sunlit fraction of 0 to 1.
    #[must_use]
    pub(crate) fn after(self, seconds: f64, load_w: f64, sunlit: f64) -> Self {
        let node = self.node;
        let charge = self.charge.zip(node.battery_wh).map(|(charge, battery_wh)| {
            // dE/dt = eta_c * P_sol * chi - P_load / eta_d, clipped at full.
            let flow_w = CHARGE_EFFICIENCY * node.solar_w * sunlit - load_w / DISCHARGE_EFFICIENCY;
            let full = charge.max(1.0);
            (charge + flow_w * seconds / S_PER_H / battery_wh).clamp(0.0, full)
        });
        let temperature_c = match (self.temperature_c, equilibrium_c(node, load_w)) {
            (Some(now_c), Some(end_c)) => {
                // T(t) = T_end + (T_0 - T_end) * exp(-t * G / C).
                let fade = match (node.heat_capacity_j_k, node.conductance_w_k) {
                    (Some(capacity), Some(conductance)) => {
                        (-seconds * conductance / capacity).exp()
                    }
                    _ => 0.0,
                };
                Some(end_c + (now_c - end_c) * fade)
            }
            (now_c, _) => now_c,
        };
        Self { node, charge, temperature_c }
    }

    /// What the node's limits say to this state. A number that is none counts as a breach.
    pub(crate) fn refusal(&self, at: Epoch) -> Option<NodeRefusal> {
        let node = self.node;
        let refuse = |constraint, value, limit, unit| {
            Some(NodeRefusal { node: node.id.clone(), constraint, at, value, limit, unit })
        };
        match (self.charge, self.temperature_c) {
            (Some(charge), _) if !at_least(charge + CHARGE_SLACK, node.reserve) => {
                refuse(Constraint::Battery, charge * 100.0, node.reserve * 100.0, "%")
            }
            (_, Some(now_c)) if !below(now_c, node.temperature_max_c) => {
                refuse(Constraint::Temperature, now_c, node.temperature_max_c, "°C")
            }
            _ => None,
        }
    }
}

fn at_least(value: f64, limit: f64) -> bool {
    limit <= value
}

fn below(value: f64, limit: f64) -> bool {
    value < limit
}

/// Where the temperature tends to: ambient + load / conductance.
fn equilibrium_c(node: &NodeView, load_w: f64) -> Option<f64> {
    Some(node.ambient_c? + load_w / node.conductance_w_k?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Arch, Capacity, NodeId, NodeKind};

    fn satellite() -> NodeView {
        let id = NodeId::new("sat-1").expect("a name");
        let mut node = NodeView::new(id, NodeKind::Satellite, Arch::Arm64, Capacity::default());
        node.battery_wh = Some(40.0);
        node.state_of_charge = Some(0.5);
        node.solar_w = 20.0;
        node.reserve = 0.3;
        node.temperature_c = Some(20.0);
        node.temperature_max_c = 60.0;
        node.ambient_c = Some(0.0);
        node.heat_capacity_j_k = Some(100.0);
        node.conductance_w_k = Some(0.5);
        node
    }

    #[track_caller]
    fn check(found: Option<f64>, expected: f64) {
        let found = found.expect("known");
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn darkness_drains_and_light_fills_up_to_the_brim() {
        let node = satellite();
        // Half an hour at 7.6 W: 4 Wh of 40 Wh with the losses of the discharge.
        let dark = Body::new(&node, 7.6).after(1800.0, 7.6, 0.0);
        check(dark.charge, 0.4);
        // An hour of full light without load: 19 Wh.
        check(dark.after(3600.0, 0.0, 1.0).charge, 0.875);
        check(dark.after(36_000.0, 0.0, 1.0).charge, 1.0);
        check(dark.after(360_000.0, 7.6, 0.0).charge, 0.0);
    }

    #[test]
    fn the_board_tends_to_ambient_plus_load_over_conductance() {
        let node = satellite();
        let warm = Body::new(&node, 10.0).after(200.0, 10.0, 0.0);
        // One time constant of 200 s: 1/e of the way to 20 °C is nothing, it is there already.
        check(warm.temperature_c, 20.0);
        let hot = Body::new(&node, 40.0).after(200.0, 40.0, 0.0);
        check(hot.temperature_c, 80.0 - 60.0 / std::f64::consts::E);
        check(hot.after(1e6, 40.0, 0.0).temperature_c, 80.0);
        check(hot.after(1e6, 0.0, 0.0).temperature_c, 0.0);
    }

    #[test]
    fn unknown_is_not_zero() {
        let mut node = satellite();
        node.state_of_charge = None;
        node.temperature_c = None;
        let body = Body::new(&node, 20.0);
        check(body.charge, 0.3);
        check(body.temperature_c, 40.0);
        assert_eq!(body.refusal(Epoch::from_unix_ns(0)), None);
        let dark = body.after(10.0, 20.0, 0.0).refusal(Epoch::from_unix_ns(0));
        assert_eq!(dark.map(|refusal| refusal.constraint), Some(Constraint::Battery));
        node.conductance_w_k = None;
        assert_eq!(Body::new(&node, 20.0).temperature_c, None);
        node.battery_wh = None;
        assert_eq!(Body::new(&node, 20.0).charge, None);
    }

    #[test]
    fn what_is_no_number_counts_as_a_breach() {
        let mut node = satellite();
        node.state_of_charge = Some(f64::NAN);
        assert!(Body::new(&node, 0.0).refusal(Epoch::from_unix_ns(0)).is_some());
        node.state_of_charge = Some(1.0);
        node.temperature_c = Some(f64::NAN);
        assert!(Body::new(&node, 0.0).refusal(Epoch::from_unix_ns(0)).is_some());
    }

    #[test]
    fn the_limit_of_temperature_itself_is_too_hot() {
        let mut node = satellite();
        node.temperature_c = Some(60.0);
        let refusal = Body::new(&node, 0.0).refusal(Epoch::from_unix_ns(0)).unwrap();
        assert_eq!(refusal.constraint, Constraint::Temperature);
        assert_eq!((refusal.value, refusal.limit, refusal.unit), (60.0, 60.0, "°C"));
    }
}
