//! Undoing an adoption.

use types::{FleetId, NodeId};

use super::probe::Found;
use super::script;
use super::step::{Check, Run, Stdin, Step};
use super::{Layout, Refusal, Trouble};

/// What shall be removed.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Of which fleet the board is.
    pub fleet: FleetId,
    /// Which node it is, where that is to be made sure of.
    pub name: Option<NodeId>,
    /// Whether configuration, state and identity stay.
    pub keeps_state: bool,
    /// Whether a board of another fleet is cleared, too.
    pub takes_over: bool,
}

/// The steps; none where there is nothing.
///
/// # Errors
/// [`Refusal`] when the board is somebody else's.
pub fn plan(removal: &Removal, found: &Found, layout: &Layout) -> Result<Vec<Step>, Refusal> {
    if let Some((_, named)) = &found.config
        && !removal.takes_over
    {
        let is = match named {
            Ok(of) if of.fleet != removal.fleet => Some(format!("of fleet {}", of.fleet)),
            Ok(of) if removal.name.as_ref().is_some_and(|name| *name != of.name) => {
                Some(format!("{}", of.name))
            }
            Ok(_) => None,
            Err(error) => Some(format!("a node whose configuration cannot be read ({error})")),
        };
        if let Some(is) = is {
            let message = format!("the board is {is}; --take-over removes its agent all the same");
            return Err(Refusal::new(Trouble::Conflict, message));
        }
    }
    let has_files = found.config.is_some() || found.joined.is_some() || found.cached.is_some();
    if found.installed.is_none() && (removal.keeps_state || !has_files) {
        return Ok(Vec::new());
    }
    let says = match removal.keeps_state {
        true => "the agent; configuration and state stay",
        false => "the agent with configuration, state and identity",
    };
    Ok(vec![Step {
        name: "remove",
        says: says.to_owned(),
        run: Run::Script {
            text: script::remove(layout, removal.keeps_state),
            as_root: true,
            stdin: Stdin::Empty,
        },
        undo: None,
        patience_s: 420,
        check: Check::Ended,
    }])
}
