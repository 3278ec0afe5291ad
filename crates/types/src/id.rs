//! Names and counters: what a node, a function, a workflow and a piece of state are called.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

/// Longest name of a node, function, workflow or task, in bytes (one Zenoh key segment, one X.509 CN).
pub const NAME_BYTES_MAX: usize = 63;
/// Longest state key, in bytes.
pub const STATE_KEY_BYTES_MAX: usize = 256;
/// Longest segment of a state key, in bytes.
pub const STATE_KEY_SEGMENT_BYTES_MAX: usize = 64;

/// A name that breaks the rule `[a-z0-9][a-z0-9-]{0,62}`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} name {value:?} is not 1 to 63 characters of a-z, 0-9 and '-', starting with a letter or digit"
)]
pub struct InvalidName {
    /// What was to be named, for example `node`.
    pub kind: &'static str,
    /// The refused text, cut to 64 characters.
    pub value: String,
}

/// A state key that breaks its rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("state key {value:?} breaks the rule: {rule}")]
pub struct InvalidStateKey {
    /// The refused text, cut to 64 characters.
    pub value: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

fn excerpt(value: &str) -> String {
    value.chars().take(64).collect()
}

fn name(kind: &'static str, value: &str) -> Result<(), InvalidName> {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_short = (1..=NAME_BYTES_MAX).contains(&value.len());
    let is_name = is_short && !value.starts_with('-') && value.bytes().all(is_plain);
    is_name.then_some(()).ok_or_else(|| InvalidName { kind, value: excerpt(value) })
}

/// Text that follows a rule: each type with its error and the function that checks it.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $error:ident = $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes a valid text.
            ///
            /// # Errors
            /// When the text breaks the rule, with the rule in words.
            pub fn new(value: &str) -> Result<Self, $error> {
                let check: fn(&str) -> Result<(), $error> = $check;
                check(value).map(|()| Self(value.to_owned()))
            }

            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(value: String) -> Result<Self, $error> {
                Self::new(&value)
            }
        }

        impl core::str::FromStr for $name {
            type Err = $error;

            fn from_str(value: &str) -> Result<Self, $error> {
                Self::new(value)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    )*};
}
pub(crate) use texts;

texts! {
    /// A fleet: the namespace of all its keys.
    FleetId: InvalidName = |value| name("fleet", value);
    /// A function: what is deployed and invoked.
    FunctionId: InvalidName = |value| name("function", value);
    /// A signing key, for people; machines know it by its id.
    KeyName: InvalidName = |value| name("key", value);
    /// A node: satellite, station, edge or cloud machine. Equals the CN of its certificate.
    NodeId: InvalidName = |value| name("node", value);
    /// A resource profile of a function, for example `1024mib-583m`; chosen by sizing once there is one.
    ResourceProfileId: InvalidName = |value| name("resource profile", value);
    /// A task: one function at one place in a workflow.
    TaskId: InvalidName = |value| name("task", value);
    /// A tenant: whose functions and state it is. Tenants share nothing.
    TenantId: InvalidName = |value| name("tenant", value);
    /// A workflow: a directed acyclic graph of tasks.
    WorkflowId: InvalidName = |value| name("workflow", value);
    /// The key of a piece of state, relative to what a function was granted.
    ///
    /// UTF-8, at most 256 bytes: segments `[A-Za-z0-9._-]{1,64}` joined by `/`, none of them `.` or `..`.
    StateKey: InvalidStateKey = state_key;
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after this.
            ///
            /// # Panics
            /// After 2^64 steps.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.checked_add(1).expect("2^64 steps take longer than the fleet lives"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

counters! {
    /// Drawn anew by an agent at each start; tells a restart from a gap.
    BootId;
    /// Counts the desired states that one controller epoch issued to one node.
    Generation;
    /// Counts controller incarnations; an agent refuses anything from a lower one.
    LeaderEpoch;
    /// Counts the owners of a group of state; a write under an older one is fenced off.
    OwnerEpoch;
    /// Counts contact plans.
    PlanVersion;
    /// One execution of a workflow.
    RunId;
    /// Counts the committed writes of one state key.
    Version;
    /// Identifies a contact window within a plan version.
    WindowId;
}

impl StateKey {
    /// Whether this key lies at or below `prefix`, segment by segment: `app` does not cover `app2`.
    pub fn is_within(&self, prefix: &Self) -> bool {
        self.0
            .strip_prefix(prefix.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn state_key(value: &str) -> Result<(), InvalidStateKey> {
    let broken = |rule| Err(InvalidStateKey { value: excerpt(value), rule });
    broken_key_rule(value).map_or(Ok(()), broken)
}

fn broken_key_rule(value: &str) -> Option<&'static str> {
    if value.is_empty() {
        return Some("it must not be empty");
    }
    if STATE_KEY_BYTES_MAX < value.len() {
        return Some("it must not be longer than 256 bytes");
    }
    value.split('/').find_map(|segment| match segment {
        "" => Some("no segment may be empty"),
        "." | ".." => Some("no segment may be '.' or '..'"),
        _ if STATE_KEY_SEGMENT_BYTES_MAX < segment.len() => {
            Some("no segment may be longer than 64 bytes")
        }
        _ if !segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) => {
            Some("segments hold only A-Z, a-z, 0-9, '.', '_' and '-'")
        }
        _ => None,
    })
}

/// The name of a stored object. Holds no location: moving the object does not rename it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId {
    /// Whose it is.
    pub workflow: WorkflowId,
    /// The run that made it; `None` for state that outlives runs.
    pub run: Option<RunId>,
    /// The task that writes it.
    pub task: TaskId,
    /// The key within that task.
    pub key: StateKey,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.run {
            Some(run) => write!(f, "{}/{run}/{}/{}", self.workflow, self.task, self.key),
            None => write!(f, "{}/-/{}/{}", self.workflow, self.task, self.key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_follow_the_rule() {
        for good in ["a", "0", "sat-12-07", &"x".repeat(63)] {
            assert!(NodeId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a_b", "a/b", "a*", "é", &"x".repeat(64)] {
            assert!(NodeId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn state_keys_follow_the_rule() {
        for good in ["a", "tracks/v1.bin", "A_b-c.d/9"] {
            assert!(StateKey::new(good).is_ok(), "{good}");
        }
        let long = "a/".repeat(5_120) + "a";
        for bad in [
            "", "/x", "x/", "a//b", "../x", "a/./b", "a/**", "a$*", "%2e%2e", "a\0b", "é",
            "e\u{301}", &long,
        ] {
            assert!(StateKey::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_covers_whole_segments_only() {
        let key = StateKey::new("app/x").unwrap();
        assert!(key.is_within(&StateKey::new("app").unwrap()));
        assert!(!StateKey::new("app2/x").unwrap().is_within(&StateKey::new("app").unwrap()));
    }

    #[test]
    fn an_error_states_value_and_rule() {
        let message = NodeId::new("Sat 1").unwrap_err().to_string();
        assert!(message.contains("\"Sat 1\"") && message.contains("a-z"), "{message}");
    }
}
