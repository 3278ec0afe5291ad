//! Commands over MQTT: `cmd/<id>` says what, `cmd/<id>/status` how far it is: `executing`, then `successful` or `failed`.
//!
//! Each id is obeyed once; the same again brings its status again. A command that the broker kept is not obeyed: it would be at
//! each start of the agent. Only who asked clears: an empty message on `cmd/<id>` takes the status back.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use types::{FleetId, NodeId};

use crate::machine::Notice;
use crate::message::{Publish, Qos};
use crate::native;
use crate::settings::Verb;

/// Commands whose status is remembered.
const REMEMBERED_MAX: usize = 64;
/// Longest command.
const BYTES_MAX: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    verb: String,
    /// As who asks sets it; other values are of us.
    #[serde(default)]
    status: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Status {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What a command leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What to do.
    pub(crate) obey: Option<Verb>,
    /// What to say, each with the key under which it waits.
    pub(crate) say: Vec<(String, Publish)>,
    /// For the log.
    pub(crate) notice: Notice,
}

/// The commands that were obeyed or refused, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Commands {
    fleet: FleetId,
    node: NodeId,
    allowed: BTreeSet<Verb>,
    done: VecDeque<(String, Status)>,
}

impl Commands {
    /// None yet.
    pub(crate) const fn new(fleet: FleetId, node: NodeId, allowed: BTreeSet<Verb>) -> Self {
        Self { fleet, node, allowed, done: VecDeque::new() }
    }

    /// The topics on which commands come.
    pub(crate) fn filter(&self) -> String {
        native::topic(&self.fleet, &self.node, "cmd/+")
    }

    /// The id of a command, if the topic is one of them.
    pub(crate) fn id_of<'t>(&self, topic: &'t str) -> Option<&'t str> {
        topic.strip_prefix(&native::topic(&self.fleet, &self.node, "cmd/"))
    }

    /// Takes a command.
    pub(crate) fn take(&mut self, id: &str, payload: &[u8], retain: bool) -> Outcome {
        // The rule of names: short, and nothing that means something in a topic.
        if NodeId::new(id).is_err() {
            let notice = Notice::Useless(format!(
                "command id {:?} is not 1 to 63 characters of a-z, 0-9 and '-'",
                id.chars().take(64).collect::<String>()
            ));
            return Outcome { obey: None, say: Vec::new(), notice };
        }
        if payload.is_empty() {
            self.done.retain(|(known, _)| known != id);
            let publish = Publish { payload: Vec::new(), ..self.message(id, &executing()) };
            let notice = Notice::Obeyed(format!("command {id} cleared"));
            return Outcome { obey: None, say: vec![(publish.topic.clone(), publish)], notice };
        }
        if let Some((_, status)) = self.done.iter().find(|(known, _)| known == id) {
            let publish = self.message(id, status);
            let notice = Notice::Obeyed(format!("command {id} was answered before"));
            return Outcome { obey: None, say: vec![(publish.topic.clone(), publish)], notice };
        }
        match self.verb(payload, retain) {
            Ok(verb) => {
                let begun = self.message(id, &executing());
                let done = Status { status: "successful", reason: None };
                let ended = self.message(id, &done);
                self.remember(id, done);
                let key = ended.topic.clone();
                // Both are said: one does not take the place of the other.
                let say = vec![(format!("{key}#executing"), begun), (key, ended)];
                let notice = Notice::Obeyed(format!("command {id}: {}", verb.as_str()));
                Outcome { obey: Some(verb), say, notice }
            }
            Err(reason) => {
                let status = Status { status: "failed", reason: Some(reason.clone()) };
                let publish = self.message(id, &status);
                self.remember(id, status);
                let notice = Notice::Refused(format!("command {id}: {reason}"));
                Outcome { obey: None, say: vec![(publish.topic.clone(), publish)], notice }
            }
        }
    }

    /// The status of each command, for a new connection.
    pub(crate) fn statuses(&self) -> Vec<Publish> {
        self.done.iter().map(|(id, status)| self.message(id, status)).collect()
    }

    fn verb(&self, payload: &[u8], retain: bool) -> Result<Verb, String> {
        if retain {
            return Err(
                "a command that the broker kept is not obeyed; send it without retain".to_owned()
            );
        }
        if BYTES_MAX < payload.len() {
            return Err(format!("{} bytes, a command has at most {BYTES_MAX}", payload.len()));
        }
        let request: Request = serde_json::from_slice(payload)
            .map_err(|error| format!("not a command like {{\"verb\":\"nop\"}}: {error}"))?;
        if let Some(status) = request.status.filter(|status| status != "init") {
            return Err(format!("a new command has status \"init\" or none, not {status:?}"));
        }
        let Some(verb) = Verb::of(&request.verb) else {
            let known: Vec<_> = Verb::ALL.iter().map(|verb| verb.as_str()).collect();
            return Err(format!("verb {:?} is none of {}", request.verb, known.join(", ")));
        };
        if !self.allowed.contains(&verb) {
            return Err(format!("{} is not in mqtt.commands of this node", verb.as_str()));
        }
        Ok(verb)
    }

    fn remember(&mut self, id: &str, status: Status) {
        if self.done.len() == REMEMBERED_MAX {
            self.done.pop_front();
        }
        self.done.push_back((id.to_owned(), status));
    }

    fn message(&self, id: &str, status: &Status) -> Publish {
        Publish {
            topic: native::topic(&self.fleet, &self.node, &format!("cmd/{id}/status")),
            payload: native::json(status),
            qos: Qos::AtLeastOnce,
            retain: true,
        }
    }
}

const fn executing() -> Status {
    Status { status: "executing", reason: None }
}
