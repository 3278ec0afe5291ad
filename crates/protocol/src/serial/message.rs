//! What boards and nodes say to each other. Integers in thousandths or tenths, signed where the direction matters; unknown is not zero.
//!
//! The kind stands in the header of the frame, the fields in postcard. The order of fields and variants is the wire format: what is new
//! is a new kind, or a new variant at the end of [`Op`]. An end that does not know a kind counts it and goes on.

use heapless::{String, Vec};
use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

use super::frame::PAYLOAD_MAX;

/// Most temperatures in one message.
pub const TEMPS_MAX: usize = 8;
/// Longest name and version of a firmware, in bytes.
pub const FIRMWARE_MAX: usize = 16;
/// Longest text of an event, in bytes.
pub const TEXT_MAX: usize = 48;
/// Longest piece of a log, in bytes: the payload without the two that its length takes.
pub const LOG_MAX: usize = 238;
/// A battery that is full, in thousandths.
pub const SOC_FULL_PM: u16 = 1000;

/// What a payload is. Append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// [`Hello`].
    Hello = 0,
    /// [`Power`].
    Power = 1,
    /// [`Temps`].
    Temp = 2,
    /// [`Event`].
    Event = 3,
    /// [`Ping`].
    Ping = 4,
    /// [`Cmd`].
    Cmd = 5,
    /// [`Ack`].
    Ack = 6,
    /// [`Log`].
    Log = 7,
    /// [`Time`].
    Time = 8,
    /// [`Relay`].
    Relay = 9,
    /// [`SetRate`].
    SetRate = 10,
}

impl Kind {
    /// All, by number.
    pub const ALL: [Self; 11] = [
        Self::Hello,
        Self::Power,
        Self::Temp,
        Self::Event,
        Self::Ping,
        Self::Cmd,
        Self::Ack,
        Self::Log,
        Self::Time,
        Self::Relay,
        Self::SetRate,
    ];

    /// The kind with a number, if this version knows it.
    pub fn of(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

/// Board → node: who it is. Said at its start, when asked ([`Op::Identify`]), and every ten seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Hello {
    /// The version of what it says, see [`super::PROTO`].
    pub proto: u16,
    /// The table of kinds that it was built from, see [`super::SCHEMA`]. Another one only says that one end knows more kinds.
    pub schema: u64,
    /// The number of the chip or of its flash, which no other board has.
    pub uid: [u8; 8],
    /// Name and version of the firmware.
    pub fw: String<FIRMWARE_MAX>,
    /// What it can do: [`Hello::POWER`] and the others, and the number of its relays in bits 8 to 15.
    pub caps: u32,
}

impl Hello {
    /// It measures voltage and current.
    pub const POWER: u32 = 1;
    /// It measures temperatures.
    pub const TEMP: u32 = 1 << 1;
    /// It has a gauge that knows the state of charge.
    pub const GAUGE: u32 = 1 << 2;

    /// What a board with so many relays says besides.
    pub const fn relays(count: u8) -> u32 {
        (count as u32) << 8
    }

    /// How many relays it has; they are numbered from 0.
    pub const fn relay_count(&self) -> u8 {
        self.caps.to_le_bytes()[1]
    }
}

/// Board → node: energy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Power {
    /// The board's clock, in milliseconds since its start, modulo 2³².
    pub t_ms: u32,
    /// Voltage of the bus, in mV; measured if [`Power::MEASURED`].
    pub bus_mv: u16,
    /// Current in mA, positive while the battery is charged; measured if [`Power::MEASURED`].
    pub cur_ma: i16,
    /// Temperature of the battery in tenths of a °C; measured if [`Power::TEMP_MEASURED`].
    pub temp_dc: i16,
    /// State of charge in thousandths; `None` without a gauge.
    pub soc_pm: Option<u16>,
    /// Energy into the battery since the start or the last [`Op::ResetEnergy`], less what was taken out, in mWh: integrated by the
    /// board, so that a line that is cut loses nothing of it.
    pub energy_mwh: i32,
    /// [`Power::MEASURED`] and the others.
    pub flags: u8,
}

impl Power {
    /// Voltage and current are measured; without it both fields mean nothing.
    pub const MEASURED: u8 = 1;
    /// The temperature is measured; without it the field means nothing.
    pub const TEMP_MEASURED: u8 = 1 << 1;
    /// Samples are missing in the energy: the sensor did not answer, or a value was beyond its range.
    pub const ENERGY_GAP: u8 = 1 << 2;
    /// The voltage is below what the board was set to warn at.
    pub const UNDER_VOLTAGE: u8 = 1 << 3;
}

/// Board → node: temperatures, each with the number of its sensor, in tenths of a °C. A sensor that did not answer is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Temps(pub Vec<(u8, i16), TEMPS_MAX>);

/// Board → node: something happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Event {
    /// What, by number; each firmware has its own.
    pub code: u16,
    /// How bad it is: 0 for who looks for a fault, 1 as it should be, 2 a warning, 3 an error.
    pub sev: u8,
    /// What, for people.
    pub text: String<TEXT_MAX>,
}

/// From the node a question, from the board its answer with the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Ping {
    /// The clock of who asks, in milliseconds.
    pub t_ms: u32,
}

/// Node → board: something to do once. Answered with an [`Ack`] of the same number; a number that comes again is answered again, not done
/// again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Cmd {
    /// Tells it from the one before.
    pub id: u16,
    /// What.
    pub op: Op,
}

/// What to do. Append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Op {
    /// Say [`Hello`].
    Identify,
    /// Say what holds: each [`Relay`] and each [`SetRate`].
    Status,
    /// Switch a relay off, and on again after a while. The board does both by itself, so that a node can cut its own power.
    PowerCycle {
        /// Which relay.
        ch: u8,
        /// How long it is off, in milliseconds.
        off_ms: u32,
    },
    /// Count the energy from zero.
    ResetEnergy,
    /// Start anew.
    Restart,
}

/// Board → node: what became of a [`Cmd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Ack {
    /// Of which.
    pub id: u16,
    /// [`Ack::DONE`] or why not.
    pub res: i8,
}

impl Ack {
    /// It is done, or has begun where it takes time.
    pub const DONE: i8 = 0;
    /// This board cannot do it.
    pub const NOT_SUPPORTED: i8 = -1;
    /// There is no such relay.
    pub const NO_CHANNEL: i8 = -2;
    /// A value lies outside its range.
    pub const OUT_OF_RANGE: i8 = -3;
    /// Not now: the relay is in the middle of another power cycle.
    pub const BUSY: i8 = -4;
}

/// Board → node: a piece of a log, any bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Log(pub Vec<u8, LOG_MAX>);

/// Node → board: what time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Time {
    /// UTC in milliseconds since 1970.
    pub unix_ms: u64,
    /// How far that may be off (one standard deviation), in microseconds.
    pub sigma_us: u32,
}

/// From the node how a relay has to be, from the board how it is: said after each change, when asked, and as the answer. The state, not a
/// change of it: said twice it means the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Relay {
    /// Which, from 0.
    pub ch: u8,
    /// Whether it conducts.
    pub on: bool,
}

/// From the node how often a board has to say a kind, from the board how often it does: the answer, with the nearest that it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct SetRate {
    /// Which kind: [`Kind::Power`] or [`Kind::Temp`].
    pub kind: u8,
    /// Between two, in milliseconds; 0: never.
    pub period_ms: u32,
}

/// Any message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Who a board is.
    Hello(Hello),
    /// Energy.
    Power(Power),
    /// Temperatures.
    Temp(Temps),
    /// Something happened.
    Event(Event),
    /// A question or its answer.
    Ping(Ping),
    /// Something to do once.
    Cmd(Cmd),
    /// What became of it.
    Ack(Ack),
    /// A piece of a log.
    Log(Log),
    /// What time it is.
    Time(Time),
    /// How a relay is or has to be.
    Relay(Relay),
    /// How often a kind is said.
    SetRate(SetRate),
}

/// Why a payload is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    /// A kind of a later version.
    #[error("kind {0} is not known to this version")]
    UnknownKind(u8),
    /// It does not parse.
    #[error("{0:?} does not decode")]
    Malformed(Kind),
    /// Bytes follow it.
    #[error("{bytes} bytes follow the {kind:?}")]
    Trailing {
        /// What it claims to be.
        kind: Kind,
        /// How many bytes.
        bytes: usize,
    },
    /// It parses but breaks a rule.
    #[error("{kind:?} is not valid: {rule}")]
    Invalid {
        /// What it claims to be.
        kind: Kind,
        /// The broken rule.
        rule: &'static str,
    },
}

macro_rules! each_kind {
    ($($kind:ident($type:ty)),* $(,)?) => {
        // The payload of each fits into a frame.
        $(const _: () = assert!(<$type as MaxSize>::POSTCARD_MAX_SIZE <= PAYLOAD_MAX);)*

        impl Message {
            /// What it is.
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }

            /// Longest payload of a kind, in bytes.
            pub const fn payload_max(kind: Kind) -> usize {
                match kind {
                    $(Kind::$kind => <$type as MaxSize>::POSTCARD_MAX_SIZE,)*
                }
            }

            /// Writes the payload.
            ///
            /// # Errors
            /// [`InvalidMessage::Invalid`] when it breaks a rule of its kind.
            pub fn to_payload<'b>(
                &self,
                buffer: &'b mut [u8; PAYLOAD_MAX],
            ) -> Result<&'b [u8], InvalidMessage> {
                self.validate()?;
                let written = match self {
                    $(Self::$kind(body) => postcard::to_slice(body, buffer),)*
                };
                // Every kind fits, as is checked above.
                written.map(|payload| &*payload).map_err(|_full| InvalidMessage::Malformed(self.kind()))
            }

            /// Reads a payload, which it must fill exactly.
            ///
            /// # Errors
            /// [`InvalidMessage`]; nothing is guessed.
            pub fn from_payload(kind: u8, payload: &[u8]) -> Result<Self, InvalidMessage> {
                let kind = Kind::of(kind).ok_or(InvalidMessage::UnknownKind(kind))?;
                let malformed = InvalidMessage::Malformed(kind);
                let (message, rest) = match kind {
                    $(Kind::$kind => {
                        let read = postcard::take_from_bytes::<$type>(payload);
                        let (body, rest) = read.map_err(|_error| malformed)?;
                        (Self::$kind(body), rest)
                    })*
                };
                if !rest.is_empty() {
                    return Err(InvalidMessage::Trailing { kind, bytes: rest.len() });
                }
                message.validate()?;
                Ok(message)
            }
        }
    };
}

each_kind! {
    Hello(Hello), Power(Power), Temp(Temps), Event(Event), Ping(Ping), Cmd(Cmd), Ack(Ack), Log(Log),
    Time(Time), Relay(Relay), SetRate(SetRate),
}

impl Message {
    fn validate(&self) -> Result<(), InvalidMessage> {
        let rule = match self {
            Self::Power(Power { soc_pm: Some(soc_pm), .. }) if SOC_FULL_PM < *soc_pm => {
                "a state of charge has at most 1000 thousandths"
            }
            Self::Event(event) if 3 < event.sev => "a severity is 0 to 3",
            _ => return Ok(()),
        };
        Err(InvalidMessage::Invalid { kind: self.kind(), rule })
    }
}
