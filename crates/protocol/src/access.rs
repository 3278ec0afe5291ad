//! Who may say what on the bus: access rules, made from the list of members.
//!
//! A rule is for one neighbour, known by the CN of its certificate, and holds at one router. Whatever no rule allows is
//! denied. A node may write below its own key only; what it declares, asks and hears is listed key by key. What a relay
//! passes on was checked where it entered the fleet; a relay is believed in that, but never that it is the controller,
//! by the controller.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use types::{FleetId, NodeId};

use crate::join::{Members, Role};
use crate::key::ROOT;

/// Whether a message comes from the neighbour or goes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// From the neighbour.
    In,
    /// To the neighbour.
    Out,
}

/// Kinds of messages, as Zenoh tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A value for subscribers.
    Put,
    /// The end of one.
    Delete,
    /// "I want what is put there."
    DeclareSubscriber,
    /// A question.
    Query,
    /// An answer.
    Reply,
    /// "I answer questions there."
    DeclareQueryable,
    /// "I am alive."
    Token,
    /// "Who is alive?"
    TokenQuery,
    /// "Tell me who is alive."
    TokenSubscriber,
}

/// Every kind.
pub const ACTS: [Act; 9] = [
    Act::Put,
    Act::Delete,
    Act::DeclareSubscriber,
    Act::Query,
    Act::Reply,
    Act::DeclareQueryable,
    Act::Token,
    Act::TokenQuery,
    Act::TokenSubscriber,
];

/// One thing that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// In which direction.
    pub flow: Flow,
    /// Which messages.
    pub acts: &'static [Act],
    /// On which key expressions, and what they include.
    pub keys: Vec<String>,
}

/// All that is allowed to one neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The CN of its certificate.
    pub subject: NodeId,
    /// What is allowed; never empty.
    pub rules: Vec<Rule>,
}

/// Below its own key, what a node says to whoever listens.
const SAYS: [&str; 8] =
    ["tlm/**", "evt/**", "ack/**", "actual/**", "fn/**", "belt/**", "topic/**", "mcu/**"];
/// Below its own key, what a node answers.
const ANSWERS: [&str; 7] =
    ["cmd/**", "desired/**", "evt/**", "actual/**", "fn/**", "belt/**", "ping"];
/// Below its own key, what a node hears.
const HEARS: [&str; 3] = ["cmd/**", "desired/**", "belt/**"];
/// Below the key of any other node, what a node asks.
const ASKS: [&str; 4] = ["fn/*/invoke", "fn/*/call", "belt/*", "ping"];
/// Below the key of the fleet, what a node asks the controller, and, with its own name behind it, what of itself.
const ASKS_FLEET: [&str; 3] = ["_topo/**", "_ctl/*", "_fn/*/module"];
const ASKS_OF_ITSELF: &str = "_ctl/backlog";
/// Below the key of the fleet, what the controller tells everybody.
const TOLD: [&str; 2] = ["_topo/**", "_ctl/**"];
/// Below the key of any node, what may be looked at.
const LOOKED_AT: [&str; 4] = ["tlm/**", "evt/**", "actual/**", "topic/**"];

/// What each member may say to `me` and hear from it, in order of name. Who is no member, was revoked, or has nothing
/// to say here has no policy.
pub fn policies(fleet: &FleetId, members: &Members, me: &NodeId) -> Vec<Policy> {
    let keys = FleetKeys { prefix: format!("{ROOT}/{fleet}") };
    let is_controller = members.role(me.as_str()) == Some(Role::Controller);
    let others = members.members.iter().filter(|member| member.name != *me);
    others
        .filter_map(|member| {
            let rules = match members.role(member.name.as_str())? {
                Role::Node => keys.node(member.name.as_str()),
                // As if it were every node at once.
                Role::Relay if is_controller => keys.node("*"),
                Role::Relay | Role::Controller => keys.all(),
                Role::Viewer => keys.viewer(),
                Role::Bridge => return None,
            };
            Some(Policy { subject: member.name.clone(), rules })
        })
        .collect()
}

struct FleetKeys {
    prefix: String,
}

impl FleetKeys {
    fn below(&self, node: &str, what: &[&str]) -> Vec<String> {
        what.iter().map(|what| format!("{}/{node}/{what}", self.prefix)).collect()
    }

    fn of_fleet(&self, what: &[&str]) -> Vec<String> {
        what.iter().map(|what| format!("{}/{what}", self.prefix)).collect()
    }

    fn everything(&self) -> Vec<String> {
        // Segments that begin with @ are in no wildcard.
        vec![format!("{}/**", self.prefix), format!("{}/*/@alive/*", self.prefix)]
    }

    fn node(&self, name: &str) -> Vec<Rule> {
        let own = self.below(ASKS_OF_ITSELF, &[name]);
        let asks = [self.below("*", &ASKS), self.of_fleet(&ASKS_FLEET), own].concat();
        let hears = [self.below(name, &HEARS), self.of_fleet(&TOLD)].concat();
        let (says, answers) = (self.below(name, &SAYS), self.below(name, &ANSWERS));
        let alive = self.below(name, &["@alive/*"]);
        let rule = |flow, acts, keys| Rule { flow, acts, keys };
        vec![
            rule(Flow::In, &[Act::Put, Act::Delete], says),
            rule(Flow::In, &[Act::DeclareQueryable, Act::Reply], answers.clone()),
            rule(Flow::In, &[Act::Token], alive),
            rule(Flow::In, &[Act::Query], asks.clone()),
            rule(Flow::In, &[Act::DeclareSubscriber], hears.clone()),
            rule(Flow::Out, &[Act::Query], answers),
            rule(Flow::Out, &[Act::Reply], asks),
            rule(Flow::Out, &[Act::Put, Act::Delete], hears),
            // That somebody listens or answers is no secret within a fleet, and must be known to be of use.
            rule(
                Flow::Out,
                &[Act::DeclareSubscriber, Act::DeclareQueryable],
                self.of_fleet(&["**"]),
            ),
            rule(
                Flow::Out,
                &[Act::TokenQuery, Act::TokenSubscriber],
                self.below("*", &["@alive/*"]),
            ),
        ]
    }

    fn all(&self) -> Vec<Rule> {
        let rule = |flow| Rule { flow, acts: &ACTS, keys: self.everything() };
        vec![rule(Flow::In), rule(Flow::Out)]
    }

    fn viewer(&self) -> Vec<Rule> {
        let seen = || self.below("*", &LOOKED_AT);
        let rule = |flow, acts| Rule { flow, acts, keys: seen() };
        vec![
            rule(Flow::In, &[Act::DeclareSubscriber, Act::Query]),
            rule(Flow::Out, &[Act::Put, Act::Delete, Act::Reply, Act::DeclareQueryable]),
        ]
    }
}

/// Where reports come in: what is longer than a report is dropped there before anybody reads it.
pub fn report_keys(fleet: &FleetId) -> String {
    format!("{ROOT}/{fleet}/*/tlm/**")
}

#[cfg(test)]
mod tests;
