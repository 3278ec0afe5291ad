//! One message of each kind, as they stand in the golden files, and any message for properties.

use heapless::{String, Vec};
use proptest::prelude::*;
use protocol::serial::message::{FIRMWARE_MAX, LOG_MAX, TEMPS_MAX, TEXT_MAX};
use protocol::serial::{
    Ack, Cmd, Event, Hello, Kind, Log, Message, Op, Ping, Power, Relay, SCHEMA, SetRate, Temps,
    Time,
};

pub(crate) fn hello() -> Message {
    Message::Hello(Hello {
        proto: 1,
        schema: SCHEMA,
        uid: [0xE6, 0x60, 0x58, 0x38, 0x83, 0x72, 0x4A, 0x2F],
        fw: String::from("rp2040 0.1.0"),
        caps: Hello::POWER | Hello::TEMP | Hello::relays(2),
    })
}

pub(crate) fn power() -> Message {
    Message::Power(Power {
        t_ms: 3_600_000,
        bus_mv: 15_320,
        cur_ma: -1250,
        temp_dc: -55,
        soc_pm: Some(873),
        energy_mwh: -4711,
        flags: Power::MEASURED | Power::TEMP_MEASURED,
    })
}

pub(crate) fn power_unknown() -> Message {
    Message::Power(Power::default())
}

pub(crate) fn power_max() -> Message {
    Message::Power(Power {
        t_ms: u32::MAX,
        bus_mv: u16::MAX,
        cur_ma: i16::MIN,
        temp_dc: i16::MIN,
        soc_pm: Some(1000),
        energy_mwh: i32::MIN,
        flags: u8::MAX,
    })
}

pub(crate) fn temp() -> Message {
    Message::Temp(Temps(Vec::from_slice(&[(0, 251), (1, -400), (7, 0)]).expect("three of eight")))
}

pub(crate) fn event() -> Message {
    Message::Event(Event {
        code: 300,
        sev: 2,
        text: String::from("INA226 does not answer at 0x40"),
    })
}

pub(crate) fn ping() -> Message {
    Message::Ping(Ping { t_ms: 0x0102_0304 })
}

const fn cmd(id: u16, op: Op) -> Message {
    Message::Cmd(Cmd { id, op })
}

pub(crate) fn cmd_identify() -> Message {
    cmd(1, Op::Identify)
}

pub(crate) fn cmd_status() -> Message {
    cmd(2, Op::Status)
}

pub(crate) fn cmd_power_cycle() -> Message {
    cmd(3, Op::PowerCycle { ch: 1, off_ms: 5000 })
}

pub(crate) fn cmd_reset_energy() -> Message {
    cmd(4, Op::ResetEnergy)
}

pub(crate) fn cmd_restart() -> Message {
    cmd(5, Op::Restart)
}

pub(crate) fn ack() -> Message {
    Message::Ack(Ack { id: 3, res: Ack::BUSY })
}

pub(crate) fn log() -> Message {
    Message::Log(Log((0..=237).collect()))
}

pub(crate) fn time() -> Message {
    Message::Time(Time { unix_ms: 1_795_951_468_000, sigma_us: 1500 })
}

pub(crate) fn relay() -> Message {
    Message::Relay(Relay { ch: 1, on: false })
}

pub(crate) fn set_rate() -> Message {
    Message::SetRate(SetRate { kind: Kind::Power as u8, period_ms: 100 })
}

fn text<const N: usize>() -> impl Strategy<Value = String<N>> {
    any::<std::string::String>().prop_map(|text| {
        let mut short = String::new();
        // As many characters as have room.
        text.chars().take_while(|letter| short.push(*letter).is_ok()).for_each(drop);
        short
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        Just(Op::Identify),
        Just(Op::Status),
        (any::<u8>(), any::<u32>()).prop_map(|(ch, off_ms)| Op::PowerCycle { ch, off_ms }),
        Just(Op::ResetEnergy),
        Just(Op::Restart),
    ]
}

/// Any message that may be sent.
pub(crate) fn any_message() -> impl Strategy<Value = Message> {
    let hello = (any::<(u16, u64, [u8; 8], u32)>(), text::<FIRMWARE_MAX>()).prop_map(
        |((proto, schema, uid, caps), fw)| Message::Hello(Hello { proto, schema, uid, fw, caps }),
    );
    let soc = proptest::option::of(0..=1000_u16);
    let power = (any::<(u32, u16, i16, i16)>(), soc, any::<(i32, u8)>()).prop_map(
        |((t_ms, bus_mv, cur_ma, temp_dc), soc_pm, (energy_mwh, flags))| {
            Message::Power(Power { t_ms, bus_mv, cur_ma, temp_dc, soc_pm, energy_mwh, flags })
        },
    );
    let temps = proptest::collection::vec(any::<(u8, i16)>(), 0..=TEMPS_MAX)
        .prop_map(|temps| Message::Temp(Temps(temps.into_iter().collect())));
    let event = (any::<u16>(), 0..=3_u8, text::<TEXT_MAX>())
        .prop_map(|(code, sev, text)| Message::Event(Event { code, sev, text }));
    let log = proptest::collection::vec(any::<u8>(), 0..=LOG_MAX)
        .prop_map(|bytes| Message::Log(Log(bytes.into_iter().collect())));
    prop_oneof![
        hello,
        power,
        temps,
        event,
        any::<u32>().prop_map(|t_ms| Message::Ping(Ping { t_ms })),
        (any::<u16>(), op()).prop_map(|(id, op)| Message::Cmd(Cmd { id, op })),
        any::<(u16, i8)>().prop_map(|(id, res)| Message::Ack(Ack { id, res })),
        log,
        any::<(u64, u32)>()
            .prop_map(|(unix_ms, sigma_us)| Message::Time(Time { unix_ms, sigma_us })),
        any::<(u8, bool)>().prop_map(|(ch, on)| Message::Relay(Relay { ch, on })),
        any::<(u8, u32)>()
            .prop_map(|(kind, period_ms)| Message::SetRate(SetRate { kind, period_ms })),
    ]
}
