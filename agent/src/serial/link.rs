//! The node's end of a line to a board, as a machine: bytes and the time go in, bytes and news come out. Performs no I/O, reads no clock.
//!
//! ```text
//! opened ──▶ asking (Identify each second) ──Hello──▶ known: time, rates, what holds; orders are repeated until they are answered
//!    ▲                                                  │ another protocol: nothing more is said to it
//!    └────────────────────── closed ◀───────────────────┘
//! ```

use std::collections::{BTreeMap, VecDeque};

use protocol::serial::{
    Ack, Cmd, Counters, Event, Hello, Kind, Message, Op, PROTO, Power, Receiver, Relay, Sender,
    Sent, SetRate, Temps, Time,
};

/// Between two questions who is there, in ms.
const ASK_MS: u64 = 1000;
/// Between two times that a board is told what time it is, in ms: its crystal loses 3 ms in it.
const TIME_MS: u64 = 60_000;
/// How long a board may say nothing at all, in ms: it says who it is every ten seconds.
const SILENCE_MS: u64 = 25_000;
/// How old a value may be, in periods of it; two may be lost on the line.
const PERIODS_MAX: u64 = 3;
/// The same at least, in ms.
const AGE_MS_MIN: u64 = 3000;
/// Between two tries of an order, in ms.
const RETRY_MS: u64 = 250;
/// Tries of an order.
const TRIES_MAX: u32 = 8;
/// Orders that wait at once.
const ORDERS_MAX: usize = 16;
/// News that wait at once; a board that says more than is taken away loses the oldest.
const NEWS_MAX: usize = 64;

/// What a board is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A relay has to be so.
    Relay(Relay),
    /// A relay is opened and closed again, by the board alone.
    PowerCycle {
        /// Which.
        ch: u8,
        /// How long it is off, in ms.
        off_ms: u32,
    },
    /// The energy is counted from zero.
    ResetEnergy,
    /// The board says how its relays are.
    Status,
}

/// Why an order was not carried out, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is no board.
    #[error("there is no board: {0}")]
    NotThere(String),
    /// It has no such relay.
    #[error("there is no relay {ch}: the board has {count}, numbered from 0")]
    NoRelay {
        /// Which was asked for.
        ch: u8,
        /// How many it has.
        count: u8,
    },
    /// The board refused it.
    #[error("the board refuses: {0}")]
    Refused(&'static str),
    /// It did not answer; whether it did what it was told is not known.
    #[error("the board did not answer {TRIES_MAX} times")]
    Silent,
    /// Too many wait already.
    #[error("{ORDERS_MAX} orders wait already")]
    TooMany,
}

/// What happened on a line.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A board says who it is for the first time since the line was opened, or another one does.
    Identified(Box<Hello>),
    /// A board speaks another protocol.
    OtherProtocol(u16),
    /// A board says that something happened.
    Event(Box<Event>),
    /// A board wrote into its log.
    Log(Vec<u8>),
    /// An order has its answer.
    Answered(u64, Result<(), OrderError>),
}

/// An order on its way.
#[derive(Clone, Copy, Debug)]
struct Pending {
    /// Who waits for the answer, if anybody does.
    ticket: Option<u64>,
    order: Order,
    id: u16,
    tries: u32,
    next_ms: u64,
}

/// What is known of a board, and how old it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    /// Who it is; `None` until it has said so.
    pub board: Option<Hello>,
    /// Its newest values of energy, unless they are too old.
    pub power: Option<Power>,
    /// Its newest temperatures, unless they are too old.
    pub temps: Option<Temps>,
    /// Its relays as it said that they are.
    pub relays: BTreeMap<u8, bool>,
    /// Whether it has said anything for a while.
    pub is_heard: bool,
    /// What came over the line since the agent's start.
    pub counters: Counters,
}

/// The machine.
#[derive(Debug)]
pub struct Link {
    period_ms: u32,
    sender: Sender,
    receiver: Receiver,
    board: Option<Hello>,
    other_protocol: bool,
    heard_ms: Option<u64>,
    power: Option<(u64, Power)>,
    temps: Option<(u64, Temps)>,
    relays: BTreeMap<u8, bool>,
    outbox: VecDeque<Message>,
    orders: VecDeque<Pending>,
    news: VecDeque<News>,
    next_id: u16,
    ask_ms: u64,
    time_ms: u64,
}

impl Link {
    /// A line that is not open yet. Values are asked for every `period_ms`; `seed` is arbitrary, and another one for each start.
    pub fn new(period_ms: u32, seed: u16) -> Self {
        Self {
            period_ms,
            sender: Sender::new(seed),
            receiver: Receiver::new(),
            board: None,
            other_protocol: false,
            heard_ms: None,
            power: None,
            temps: None,
            relays: BTreeMap::new(),
            outbox: VecDeque::new(),
            orders: VecDeque::new(),
            news: VecDeque::new(),
            next_id: seed,
            ask_ms: 0,
            time_ms: 0,
        }
    }

    /// The line is open, maybe to another board than before.
    pub fn opened(&mut self, now_ms: u64) {
        self.forget();
        self.sender.reopened();
        self.receiver.reopened();
        self.ask_ms = now_ms;
    }

    /// The line is gone; orders that wait are answered with `reason`.
    pub fn closed(&mut self, reason: &str) {
        self.forget();
        for pending in std::mem::take(&mut self.orders) {
            if let Some(ticket) = pending.ticket {
                let error = OrderError::NotThere(reason.to_owned());
                self.tell(News::Answered(ticket, Err(error)));
            }
        }
    }

    /// Takes bytes from the line.
    pub fn receive(&mut self, now_ms: u64, bytes: &[u8]) {
        for byte in bytes {
            // What was dropped is counted, and whoever said it says it again.
            if let Ok(Some(received)) = self.receiver.push(*byte) {
                self.hear(now_ms, received.message);
            }
        }
    }

    /// Takes an order; its answer is news with the same ticket.
    pub fn order(&mut self, now_ms: u64, ticket: u64, order: Order) {
        match self.judged(order) {
            Err(error) => self.tell(News::Answered(ticket, Err(error))),
            Ok(()) => self.enqueue(now_ms, Some(ticket), order),
        }
    }

    /// The next bytes for the line, if there are any; `time` is what time it is. To be called until there are none.
    pub fn poll(&mut self, now_ms: u64, time: Time) -> Option<Sent> {
        let message = self.next(now_ms, time)?;
        let line_ms = u32::try_from(now_ms % (1 << 32)).unwrap_or_default();
        // Nothing that is made here breaks a rule.
        self.sender.frame(line_ms, &message).ok()
    }

    /// When [`Link::poll`] has something at the latest, if nothing comes in before.
    pub fn due_ms(&self) -> Option<u64> {
        if self.other_protocol {
            return None;
        }
        if !self.outbox.is_empty() {
            return Some(0);
        }
        if self.board.is_none() {
            return Some(self.ask_ms);
        }
        let order = self.orders.front().map(|pending| pending.next_ms);
        [order, Some(self.time_ms)].into_iter().flatten().min()
    }

    /// What happened since it was last asked.
    pub fn news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// What is known now.
    pub fn readings(&self, now_ms: u64) -> Readings {
        let age_max = (u64::from(self.period_ms) * PERIODS_MAX).max(AGE_MS_MIN);
        let is_fresh = |at: u64| now_ms.saturating_sub(at) <= age_max;
        Readings {
            board: self.board.clone(),
            power: self.power.filter(|(at, _)| is_fresh(*at)).map(|(_, power)| power),
            temps: self.temps.as_ref().filter(|(at, _)| is_fresh(*at)).map(|(_, t)| t.clone()),
            relays: self.relays.clone(),
            is_heard: self.heard_ms.is_some_and(|at| now_ms.saturating_sub(at) <= SILENCE_MS),
            counters: *self.receiver.counters(),
        }
    }

    fn enqueue(&mut self, now_ms: u64, ticket: Option<u64>, order: Order) {
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        self.orders.push_back(Pending { ticket, order, id, tries: 0, next_ms: now_ms });
    }

    fn forget(&mut self) {
        (self.board, self.other_protocol, self.heard_ms) = (None, false, None);
        (self.power, self.temps) = (None, None);
        self.relays.clear();
        self.outbox.clear();
    }

    fn judged(&self, order: Order) -> Result<(), OrderError> {
        let Some(board) = &self.board else {
            return Err(OrderError::NotThere("none has said who it is".to_owned()));
        };
        if ORDERS_MAX <= self.orders.len() {
            return Err(OrderError::TooMany);
        }
        let count = board.relay_count();
        match order {
            Order::Relay(Relay { ch, .. }) | Order::PowerCycle { ch, .. } if count <= ch => {
                Err(OrderError::NoRelay { ch, count })
            }
            _ => Ok(()),
        }
    }

    fn hear(&mut self, now_ms: u64, message: Message) {
        self.heard_ms = Some(now_ms);
        if let Message::Hello(hello) = message {
            return self.identify(now_ms, hello);
        }
        // What comes before the first Hello is from somebody, and it is asked who.
        match message {
            Message::Power(power) => self.power = Some((now_ms, power)),
            Message::Temp(temps) => self.temps = Some((now_ms, temps)),
            Message::Event(event) => self.tell(News::Event(Box::new(event))),
            Message::Log(log) => self.tell(News::Log(log.0.to_vec())),
            Message::Ack(ack) => self.acknowledged(ack),
            Message::Relay(relay) => self.relay(relay),
            // A pong that nobody asked for, rates as they were asked for, and what nodes say.
            Message::Hello(_)
            | Message::Ping(_)
            | Message::SetRate(_)
            | Message::Cmd(_)
            | Message::Time(_) => {}
        }
    }

    fn identify(&mut self, now_ms: u64, hello: Hello) {
        if hello.proto != PROTO {
            if !self.other_protocol {
                self.forget();
                self.other_protocol = true;
                self.tell(News::OtherProtocol(hello.proto));
            }
            return;
        }
        let is_known = self.board.as_ref().is_some_and(|board| board.uid == hello.uid);
        if !is_known {
            self.closed("another one was plugged in");
            self.heard_ms = Some(now_ms);
            self.tell(News::Identified(Box::new(hello.clone())));
            self.time_ms = now_ms;
        }
        self.board = Some(hello);
        // What a relay did may have been lost on the line. In its turn: a board remembers one number.
        if !self.orders.iter().any(|pending| pending.ticket.is_none()) {
            self.enqueue(now_ms, None, Order::Status);
        }
        // At each Hello: it may be that of a start, which knows nothing of what was asked for.
        for kind in [Kind::Power, Kind::Temp] {
            let rate = SetRate { kind: kind as u8, period_ms: self.period_ms };
            self.outbox.push_back(Message::SetRate(rate));
        }
    }

    fn next(&mut self, now_ms: u64, time: Time) -> Option<Message> {
        if self.other_protocol {
            return None;
        }
        if let Some(message) = self.outbox.pop_front() {
            return Some(message);
        }
        if self.board.is_none() {
            if now_ms < self.ask_ms {
                return None;
            }
            self.ask_ms = now_ms + ASK_MS;
            self.next_id = self.next_id.wrapping_add(1);
            return Some(Message::Cmd(Cmd { id: self.next_id, op: Op::Identify }));
        }
        if self.time_ms <= now_ms {
            self.time_ms = now_ms + TIME_MS;
            return Some(Message::Time(time));
        }
        self.next_order(now_ms)
    }

    /// One order at a time: a board remembers the newest number only.
    fn next_order(&mut self, now_ms: u64) -> Option<Message> {
        let pending = self.orders.front_mut()?;
        if now_ms < pending.next_ms {
            return None;
        }
        if pending.tries == TRIES_MAX {
            self.answered(Err(OrderError::Silent));
            return self.next_order(now_ms);
        }
        pending.tries += 1;
        pending.next_ms = now_ms + RETRY_MS;
        let cmd = |op| Message::Cmd(Cmd { id: pending.id, op });
        Some(match pending.order {
            Order::Relay(relay) => Message::Relay(relay),
            Order::PowerCycle { ch, off_ms } => cmd(Op::PowerCycle { ch, off_ms }),
            Order::ResetEnergy => cmd(Op::ResetEnergy),
            Order::Status => cmd(Op::Status),
        })
    }

    fn acknowledged(&mut self, ack: Ack) {
        // An Ack of anything else is late, or of what nobody waits for.
        let waits = |pending: &Pending| pending.id == ack.id && 0 < pending.tries;
        if !self.orders.front().is_some_and(waits) {
            return;
        }
        self.answered(match ack.res {
            Ack::DONE => Ok(()),
            Ack::NOT_SUPPORTED => Err(OrderError::Refused("it cannot do that")),
            Ack::NO_CHANNEL => Err(OrderError::Refused("it has no such relay")),
            Ack::OUT_OF_RANGE => Err(OrderError::Refused("a value lies outside its range")),
            Ack::BUSY => Err(OrderError::Refused("the relay is in the middle of a power cycle")),
            _ => Err(OrderError::Refused("for a reason that this version does not know")),
        });
    }

    fn relay(&mut self, relay: Relay) {
        self.relays.insert(relay.ch, relay.on);
        // That it is so is the answer; it may have been so before.
        let waits = |pending: &Pending| pending.order == Order::Relay(relay) && 0 < pending.tries;
        if self.orders.front().is_some_and(waits) {
            self.answered(Ok(()));
        }
    }

    /// The order that was said last has its answer.
    fn answered(&mut self, result: Result<(), OrderError>) {
        if let Some(ticket) = self.orders.pop_front().and_then(|pending| pending.ticket) {
            self.tell(News::Answered(ticket, result));
        }
    }

    fn tell(&mut self, news: News) {
        if self.news.len() == NEWS_MAX {
            self.news.pop_front();
        }
        self.news.push_back(news);
    }
}

#[cfg(test)]
mod tests;
