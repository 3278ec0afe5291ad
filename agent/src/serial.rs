//! Boards at serial lines: microcontrollers that measure the battery, sense, or switch power. They come and go while the agent runs.
//!
//! Reading order: [`link`] (what is said, a machine without I/O), [`port`] (devices), `keep` (one task for each line: opens it, keeps it,
//! opens it again), [`battery`] (a board as the battery of the node), [`report`] (a board as a child of the node on the bus).

pub mod battery;
mod keep;
pub mod link;
pub mod port;
pub mod report;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use self::link::{Order, OrderError, Readings};
use crate::clock::Clock;
use crate::config::{McuConfig, McuRole};

/// Orders that wait for the task of a line.
const ORDERS_MAX: usize = 16;

/// How a line stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is not open; why.
    Absent(String),
    /// It is open, and nobody has said who it is.
    Unknown,
    /// A board is there and heard.
    Present,
    /// A board was there, and has said nothing for a while.
    Silent,
    /// A board is there that speaks another protocol.
    OtherProtocol(u16),
}

/// What is known of a line and its board.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// How the line stands.
    pub presence: Presence,
    /// What the board says.
    pub readings: Readings,
    /// The board that was here last, also when it is gone.
    pub uid: Option<[u8; 8]>,
    /// How often the line was opened.
    pub opens: u32,
}

/// An order with the way back.
type Asked = (Order, oneshot::Sender<Result<(), OrderError>>);

/// A line; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is for.
    pub config: McuConfig,
    state: watch::Receiver<State>,
    orders: mpsc::Sender<Asked>,
}

impl Line {
    /// What is known now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// What is known, as it changes.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Has a board do something, and waits for its answer; within three seconds, whatever happens.
    ///
    /// # Errors
    /// [`OrderError`].
    pub async fn order(&self, order: Order) -> Result<(), OrderError> {
        let (answer, answered) = oneshot::channel();
        self.orders.try_send((order, answer)).map_err(|_full| OrderError::TooMany)?;
        let ended = || OrderError::NotThere("the agent is ending".to_owned());
        answered.await.map_err(|_gone| ended())?
    }
}

/// All lines of a node; clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    lines: Arc<[Line]>,
}

impl Lines {
    /// Starts a task for each; they end with the handles that are answered.
    pub fn start(configs: &[McuConfig], clock: &Clock) -> (Self, Vec<JoinHandle<()>>) {
        let (mut lines, mut tasks) = (Vec::new(), Vec::new());
        for config in configs {
            let (orders, asked) = mpsc::channel(ORDERS_MAX);
            let state = State {
                presence: Presence::Absent("it is not opened yet".to_owned()),
                readings: Readings::default(),
                uid: None,
                opens: 0,
            };
            let (told, state) = watch::channel(state);
            tasks.push(tokio::spawn(keep::keep(config.clone(), clock.clone(), told, asked)));
            lines.push(Line { config: config.clone(), state, orders });
        }
        (Self { lines: lines.into() }, tasks)
    }

    /// All of them, as they are configured.
    pub fn iter(&self) -> std::slice::Iter<'_, Line> {
        self.lines.iter()
    }

    /// The one whose board is the battery of the node, if there is one.
    pub fn battery(&self) -> Option<&Line> {
        self.iter().find(|line| line.config.role == McuRole::Battery)
    }

    /// The one with a name.
    pub fn named(&self, name: &str) -> Option<&Line> {
        self.iter().find(|line| line.config.name.as_str() == name)
    }
}
