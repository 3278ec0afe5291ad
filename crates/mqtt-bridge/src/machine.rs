//! One connection to a broker, as a machine: it is told what happens, and says what to send. It keeps no socket and reads no clock.
//!
//! A connection has one last will. Native status and the death of a Sparkplug edge node are two, so these are two machines.

use std::fmt::Debug;
use std::sync::Arc;

use protocol::event::Event;
use protocol::report::Report;
use types::{Epoch, Instant};

use crate::message::Publish;
use crate::outbox::Counts;
use crate::plain::Plain;
use crate::settings::{Profile, Settings};
use crate::sparkplug::EdgeNode;

/// One moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Of the process.
    pub at: Instant,
    /// Of the sky; what messages carry.
    pub sky: Epoch,
}

/// What the fleet tells.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// A report.
    Report(&'a Report),
    /// An event.
    Event(&'a Event),
    /// The next contact of this node with a ground station, or that the plan has none.
    Contact(Option<Epoch>),
}

/// What the broker tells.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// On which topic.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// Whether it was said before this connection and kept by the broker.
    pub retain: bool,
}

/// What a connection starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// What the broker says if the connection breaks.
    pub will: Option<Publish>,
    /// What to subscribe to, each at least once.
    pub subscribe: Vec<String>,
}

/// What an operator may want to read in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A command was obeyed.
    Obeyed(String),
    /// A command was refused, and why.
    Refused(String),
    /// The other side wants everything again.
    Asked(&'static str),
    /// What came cannot be used, and why.
    Useless(String),
}

/// One connection to a broker.
pub trait Machine: Debug + Send {
    /// What its client id ends with, after a `-`; empty for the main one.
    fn suffix(&self) -> &'static str;

    /// A connection is about to be tried: each try is one.
    fn open(&mut self, now: &Moment) -> Opening;

    /// The broker has accepted it.
    fn opened(&mut self, now: &Moment);

    /// It is gone, or did not come about.
    fn closed(&mut self, now: &Moment);

    /// It will be ended in order: what is to be said before that waits in [`Machine::next`].
    fn close(&mut self, now: &Moment);

    /// The fleet tells something.
    fn tell(&mut self, now: &Moment, told: Told<'_>);

    /// The broker tells something.
    fn hear(&mut self, now: &Moment, heard: Heard<'_>) -> Option<Notice>;

    /// [`Machine::deadline`] has passed.
    fn timer(&mut self, now: &Moment);

    /// When to call [`Machine::timer`].
    fn deadline(&self) -> Option<Instant>;

    /// The next message to hand to the client, if there is one and the connection is open.
    fn next(&mut self, now: &Moment) -> Option<Publish>;

    /// The client has written the oldest message that was handed to it and not yet written; with an id if an answer will come.
    fn written(&mut self, id: Option<u16>);

    /// The broker has taken the message with this id.
    fn acked(&mut self, id: u16);

    /// Whether nothing waits, and nothing is under way.
    fn is_idle(&self) -> bool;

    /// What was sent and lost so far.
    fn counts(&self) -> Counts;
}

/// The machines that the profiles need, one or two.
pub fn machines(settings: &Settings) -> Vec<Box<dyn Machine>> {
    let has_plain = settings.says_telemetry() || settings.speaks(Profile::Aws);
    let has_edge = settings.speaks(Profile::Sparkplug);
    let mut settings = settings.clone();
    if has_plain && has_edge {
        // What waits is bounded in all.
        settings.queue_bytes /= 2;
    }
    let settings = Arc::new(settings);
    let mut machines: Vec<Box<dyn Machine>> = Vec::new();
    if has_plain {
        machines.push(Box::new(Plain::new(Arc::clone(&settings))));
    }
    if has_edge {
        machines.push(Box::new(EdgeNode::new(settings, has_plain)));
    }
    machines
}
