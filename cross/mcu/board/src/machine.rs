//! The board as a machine: bytes, samples and the time go in, frames and relay states come out.

use heapless::{Deque, String};
use protocol::serial::{
    Ack, Counters, Event, Hello, Kind, Message, PROTO, Power, Receiver, Relay, SCHEMA, Sender,
    Sent, SetRate, Temps, Time,
};

use crate::energy::Energy;
use crate::orders::{self, PERIOD_MS, code};
use crate::relay::Relays;

/// Between two times that a board says who it is, in ms: what a node that opened the line late waits at most.
const HELLO_MS: u32 = 10_000;
/// Messages that wait for the line; the answers to all that can be asked at once are seven.
const OUTBOX: usize = 16;
/// A voltage counts as right again when it is this part of the limit above it.
const UNDER_VOLTAGE_HYSTERESIS: u16 = 32;

/// What a board is.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// What no other board has.
    pub uid: [u8; 8],
    /// Name and version of its firmware; what is longer than 16 bytes is cut.
    pub fw: &'static str,
    /// What it measures: [`Hello::POWER`], [`Hello::TEMP`], [`Hello::GAUGE`].
    pub caps: u32,
    /// How many relays it has.
    pub relays: u8,
    /// The voltage below which it warns, in mV.
    pub under_voltage_mv: Option<u16>,
}

/// What the sensors said at once; `None` for what one of them did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PowerSample {
    /// Voltage of the bus in mV.
    pub bus_mv: Option<u16>,
    /// Current in mA, positive into the battery.
    pub cur_ma: Option<i16>,
    /// Temperature of the battery in tenths of a °C.
    pub temp_dc: Option<i16>,
    /// State of charge in thousandths, from a gauge.
    pub soc_pm: Option<u16>,
}

/// Something that is done again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Every {
    /// 0: never.
    pub(crate) period_ms: u32,
    /// When it was last done; `None`: it is due.
    pub(crate) last_ms: Option<u32>,
}

impl Every {
    const fn new(period_ms: u32) -> Self {
        Self { period_ms, last_ms: None }
    }

    /// In how many ms it is due; `None` for never.
    fn due_ms(&self, now_ms: u32) -> Option<u32> {
        if self.period_ms == 0 {
            return None;
        }
        let since = |last| self.period_ms.saturating_sub(now_ms.wrapping_sub(last));
        Some(self.last_ms.map_or(0, since))
    }

    /// Whether it is due; then it counts as done.
    fn is_due(&mut self, now_ms: u32) -> bool {
        let is_due = self.due_ms(now_ms) == Some(0);
        if is_due {
            self.last_ms = Some(now_ms);
        }
        is_due
    }
}

/// A board. Times are milliseconds from anywhere and may turn over.
#[derive(Debug)]
pub struct Board {
    pub(crate) config: Config,
    sender: Sender,
    receiver: Receiver,
    outbox: Deque<Message, OUTBOX>,
    outbox_lost: u32,
    pub(crate) energy: Energy,
    pub(crate) relays: Relays,
    power: Option<Power>,
    temps: Temps,
    pub(crate) hello: Every,
    pub(crate) power_rate: Every,
    pub(crate) temp_rate: Every,
    /// What the newest command was answered.
    pub(crate) answered: Option<Ack>,
    pub(crate) is_restarting: bool,
    /// When a node told the time, and which.
    pub(crate) time: Option<(u32, Time)>,
    is_low: bool,
    is_blind: bool,
}

impl Board {
    /// A board at its start; `first` is the number of its first frame, any random one.
    pub fn new(config: Config, first: u16) -> Self {
        Self {
            config,
            sender: Sender::new(first),
            receiver: Receiver::new(),
            outbox: Deque::new(),
            outbox_lost: 0,
            energy: Energy::new(),
            relays: Relays::new(config.relays),
            power: None,
            temps: Temps::default(),
            hello: Every::new(HELLO_MS),
            power_rate: Every::new(PERIOD_MS),
            temp_rate: Every::new(PERIOD_MS),
            answered: None,
            is_restarting: false,
            time: None,
            is_low: false,
            is_blind: false,
        }
    }

    /// Takes a byte from the line.
    pub fn receive(&mut self, now_ms: u32, byte: u8) {
        // What was dropped is counted, and whoever said it says it again.
        if let Ok(Some(received)) = self.receiver.push(byte) {
            orders::obey(self, now_ms, &received.message);
        }
    }

    /// The line was opened anew: who listens now may not know who speaks.
    pub const fn connected(&mut self) {
        self.receiver.reopened();
        self.sender.reopened();
        self.hello.last_ms = None;
    }

    /// Takes what the sensors said, ten times a second.
    pub fn sampled(&mut self, now_ms: u32, sample: PowerSample) {
        let measured = sample.bus_mv.zip(sample.cur_ma);
        match measured {
            Some((bus_mv, cur_ma)) => self.energy.sample(now_ms, bus_mv, cur_ma),
            None => self.energy.lost(),
        }
        self.watch_sensor(measured.is_some());
        if let Some(bus_mv) = sample.bus_mv {
            self.watch_voltage(bus_mv);
        }
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let (bus_mv, cur_ma) = measured.unwrap_or_default();
        self.power = Some(Power {
            t_ms: now_ms,
            bus_mv,
            cur_ma,
            temp_dc: sample.temp_dc.unwrap_or_default(),
            soc_pm: sample.soc_pm.map(|soc_pm| soc_pm.min(1000)),
            energy_mwh: self.energy.mwh(),
            flags: flag(measured.is_some(), Power::MEASURED)
                | flag(sample.temp_dc.is_some(), Power::TEMP_MEASURED)
                | flag(self.energy.has_gap(), Power::ENERGY_GAP)
                | flag(self.is_low, Power::UNDER_VOLTAGE),
        });
    }

    /// Takes temperatures, each with the number of its sensor, in tenths of a °C; more than eight are left out.
    pub fn temperatures(&mut self, temps: impl IntoIterator<Item = (u8, i16)>) {
        self.temps.0.clear();
        for temp in temps {
            if self.temps.0.push(temp).is_err() {
                return;
            }
        }
    }

    /// Ends power cycles whose time is over, also while nobody listens.
    pub fn tick(&mut self, now_ms: u32) {
        while let Some(ch) = self.relays.tick(now_ms) {
            self.tell_relay(ch);
        }
    }

    /// The next frame for the line, if there is one. To be called until there is none.
    pub fn poll(&mut self, now_ms: u32) -> Option<Sent> {
        self.tick(now_ms);
        let message = self.next(now_ms)?;
        // Nothing that is made here breaks a rule.
        self.sender.frame(now_ms, &message).ok()
    }

    /// In how many ms [`Board::poll`] has something at the latest, if nothing happens before.
    pub fn due_ms(&self, now_ms: u32) -> Option<u32> {
        if !self.outbox.is_empty() {
            return Some(0);
        }
        let power = self.power.and_then(|_| self.power_rate.due_ms(now_ms));
        let temps = (!self.temps.0.is_empty()).then(|| self.temp_rate.due_ms(now_ms)).flatten();
        let dues = [self.hello.due_ms(now_ms), power, temps, self.relays.due_ms(now_ms)];
        dues.into_iter().flatten().min()
    }

    /// Whether a relay has to conduct now; `None` if there is no such one.
    pub fn relay(&self, ch: u8) -> Option<bool> {
        self.relays.is_on(ch)
    }

    /// Whether a node asked for a restart, and was answered.
    pub fn wants_restart(&self) -> bool {
        self.is_restarting && self.outbox.is_empty()
    }

    /// UTC in ms since 1970 as a node told it, moved on by the board's own clock.
    pub fn unix_ms(&self, now_ms: u32) -> Option<u64> {
        let (then_ms, time) = self.time?;
        Some(time.unix_ms.saturating_add(u64::from(now_ms.wrapping_sub(then_ms))))
    }

    /// Says that something happened; a text of more than 48 bytes is cut.
    pub fn event(&mut self, code: u16, sev: u8, text: &str) {
        let mut short = String::new();
        // As many characters as have room.
        text.chars().take_while(|letter| short.push(*letter).is_ok()).for_each(drop);
        self.say(Message::Event(Event { code, sev: sev.min(3), text: short }));
    }

    /// What came over the line.
    pub const fn counters(&self) -> &Counters {
        self.receiver.counters()
    }

    /// Messages that found no room, because the line took none.
    pub const fn lost(&self) -> u32 {
        self.outbox_lost
    }

    pub(crate) fn say(&mut self, message: Message) {
        if self.outbox.push_back(message).is_err() {
            self.outbox_lost = self.outbox_lost.saturating_add(1);
        }
    }

    pub(crate) fn tell_relay(&mut self, ch: u8) {
        if let Some(on) = self.relays.is_on(ch) {
            self.say(Message::Relay(Relay { ch, on }));
        }
    }

    pub(crate) fn tell_rate(&mut self, kind: Kind, period_ms: u32) {
        self.say(Message::SetRate(SetRate { kind: kind as u8, period_ms }));
    }

    /// What waits, then who this is, then the newest values: an old one is of no use.
    fn next(&mut self, now_ms: u32) -> Option<Message> {
        if let Some(message) = self.outbox.pop_front() {
            return Some(message);
        }
        if self.hello.is_due(now_ms) {
            return Some(Message::Hello(self.who()));
        }
        if let Some(power) = self.power
            && self.power_rate.is_due(now_ms)
        {
            return Some(Message::Power(power));
        }
        if !self.temps.0.is_empty() && self.temp_rate.is_due(now_ms) {
            return Some(Message::Temp(self.temps.clone()));
        }
        None
    }

    fn who(&self) -> Hello {
        let mut fw = String::new();
        self.config.fw.chars().take_while(|letter| fw.push(*letter).is_ok()).for_each(drop);
        let sensors = self.config.caps & (Hello::POWER | Hello::TEMP | Hello::GAUGE);
        let caps = sensors | Hello::relays(self.relays.count());
        Hello { proto: PROTO, schema: SCHEMA, uid: self.config.uid, fw, caps }
    }

    /// Says once when the sensor falls silent and once when it answers again.
    fn watch_sensor(&mut self, answers: bool) {
        if answers != self.is_blind {
            return;
        }
        self.is_blind = !answers;
        match answers {
            true => self.event(code::SENSOR_BACK, 1, "the power sensor answers again"),
            false => self.event(code::SENSOR_LOST, 3, "the power sensor does not answer"),
        }
    }

    /// Says once when the voltage is too low and once when it is right again.
    fn watch_voltage(&mut self, bus_mv: u16) {
        let Some(limit) = self.config.under_voltage_mv else { return };
        let right = limit.saturating_add(limit / UNDER_VOLTAGE_HYSTERESIS);
        if !self.is_low && bus_mv < limit {
            self.is_low = true;
            self.event(code::UNDER_VOLTAGE, 2, "the voltage is too low");
        } else if self.is_low && right <= bus_mv {
            self.is_low = false;
            self.event(code::VOLTAGE_RIGHT, 1, "the voltage is right again");
        }
    }
}
