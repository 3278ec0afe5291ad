//! What happens: drawn from a seed, so that a failure can be repeated.

use std::time::{Duration, Instant};

use controller::api::{self, CommandAsk, CommandInfo, CommandName};
use hil_tests::client::ClientError;
use hil_tests::fleet::{CONTROLLER, splitmix};
use protocol::command::Act;
use protocol::sim::FaultAction;
use types::{Epoch, LeaderEpoch, NodeId};

use crate::bed::{Bed, wait};

/// A schedule takes so long, in milliseconds of the wall; then all is healed and started again.
const LENGTH_MS: u64 = 2_500;
/// Until everybody is heard again.
const HEARD_WITHIN: Duration = Duration::from_secs(60);

/// How much happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) cuts: u64,
    pub(crate) agents: u64,
    pub(crate) controllers: u64,
    /// When which agent was killed (sky).
    pub(crate) kills: Vec<(NodeId, Epoch)>,
}

/// A command that a node has taken, or may have.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) node: NodeId,
    pub(crate) name: CommandName,
    pub(crate) is_taken: bool,
}

/// Draws numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = splitmix(self.0.wrapping_add(1));
        self.0 % end
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let end = u64::try_from(items.len()).expect("few");
        &items[usize::try_from(self.below(end)).expect("few")]
    }
}

/// What can happen.
enum Fate {
    Kill(String),
    Fault(NodeId, FaultAction),
}

/// One schedule: one to three things at any moments, then all is whole again as far as everybody is heard.
pub(crate) fn schedule(bed: &mut Bed, seed: u64, seen: &mut Seen, given: &mut Vec<Given>) {
    let mut dice = Dice(splitmix(seed));
    let nodes = bed.nodes();
    given.extend(command(bed, dice.of(&nodes), dice.below(3)));
    let mut acts = Vec::new();
    for _ in 0..=dice.below(3) {
        let at = dice.below(LENGTH_MS);
        let node = dice.of(&nodes).clone();
        acts.push((
            at,
            match dice.below(5) {
                0 => Fate::Fault(node, FaultAction::Close),
                1 => Fate::Fault(node, FaultAction::BlackHole),
                2 | 3 => Fate::Kill(node.to_string()),
                _ => Fate::Kill(CONTROLLER.to_owned()),
            },
        ));
    }
    acts.sort_by_key(|(at, _)| *at);
    let begun = Instant::now();
    let (mut killed, mut cut) = (Vec::new(), Vec::new());
    for (at, act) in acts {
        // The schedule says when.
        std::thread::sleep(Duration::from_millis(at).saturating_sub(begun.elapsed()));
        match act {
            Fate::Kill(name) if killed.contains(&name) => {}
            Fate::Kill(name) => {
                bed.processes.kill(&name).expect("it runs");
                if name == CONTROLLER {
                    seen.controllers += 1;
                } else {
                    seen.agents += 1;
                    seen.kills.push((NodeId::new(&name).expect("a name"), bed.sky()));
                }
                killed.push(name);
            }
            Fate::Fault(node, action) => {
                bed.faults.apply(&node, None, action).expect("the bridge is there");
                seen.cuts += 1;
                cut.push(node);
            }
        }
    }
    std::thread::sleep(Duration::from_millis(LENGTH_MS).saturating_sub(begun.elapsed()));
    for node in cut {
        bed.faults.apply(&node, None, FaultAction::Heal).expect("the bridge is there");
    }
    for name in killed {
        if name == CONTROLLER {
            bed.processes.start_controller().expect("it starts");
        } else {
            bed.processes.start_agent(&NodeId::new(&name).expect("a name")).expect("it starts");
        }
    }
    bed.processes.check_alive().expect("what nobody killed lives");
    let heard = wait(HEARD_WITHIN, || {
        bed.api.get::<api::Health>("/health").ok().filter(|health| health.nodes_up == health.nodes)
    });
    let state = bed.api.get::<api::NodeList>("/nodes");
    assert!(heard.is_some(), "seed {seed}: somebody is not heard again: {state:?}");
}

/// Gives a command for a moment that lies within the schedule, and again if no answer came.
fn command(bed: &Bed, node: &NodeId, in_s: u64) -> Option<Given> {
    let sky = bed.api.get::<api::ClockInfo>("/clock").ok()?.sky;
    let at = sky.plus_s(f64::from(u32::try_from(in_s).expect("few")));
    let mut ask = CommandAsk { again: None, at, until: at.plus_s(30.0), act: Act::ReportNow };
    let path = format!("/nodes/{node}/commands");
    let mut name = None;
    for _ in 0..2 {
        let body = serde_json::to_vec(&ask).expect("a command is JSON");
        match bed.api.post::<CommandInfo>(&path, "application/json", &body) {
            Ok(CommandInfo { node, epoch, id, .. }) => {
                let name = CommandName { epoch, id };
                return Some(Given { node, name, is_taken: true });
            }
            Err(ClientError::Refused { message, .. }) => {
                let (_, rest) = message.split_once("--again ")?;
                let (text, _) = rest.split_once(',')?;
                let (epoch, id) = text.split_once(':')?;
                let (epoch, id) = (LeaderEpoch(epoch.parse().ok()?), id.parse().ok()?);
                ask.again = Some(CommandName { epoch, id });
                name = ask.again;
            }
            Err(ClientError::Unreachable { .. }) => return None,
        }
    }
    Some(Given { node: node.clone(), name: name?, is_taken: false })
}
