//! A board as a child of its node on the bus.

use protocol::board::{BoardCounts, BoardLink, BoardReport, BoardRole};
use protocol::report::{Header, NoReading, Reading, Source};

use super::battery::Measured;
use super::{Line, Presence};
use crate::agent::cut;
use crate::config::McuRole;
use crate::sensor::reading;

/// The number of a board, as it stands in keys and logs.
pub fn uid_text(uid: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(uid))
}

/// What is told of a board; `None` for a line at which none was ever heard.
pub fn of(line: &Line, header: Header) -> Option<BoardReport> {
    let state = line.state();
    let uid = state.uid?;
    let measured = line.measured();
    let value = |of: fn(&Measured) -> Option<f64>, source: Source| match &measured {
        Err(reason) => Reading::Unknown(*reason),
        Ok(measured) => of(measured)
            .map_or(Reading::Unknown(NoReading::NotSupported), |value| reading(value, source)),
    };
    let counters = state.readings.counters;
    let temps = state.readings.temps.unwrap_or_default().0;
    Some(BoardReport {
        header,
        uid,
        name: line.config.name.clone(),
        role: match line.config.role {
            McuRole::Battery => BoardRole::Battery,
            McuRole::PowerSwitch => BoardRole::PowerSwitch,
            McuRole::Sensor => BoardRole::Sensor,
        },
        firmware: state
            .readings
            .board
            .map(|board| board.fw.as_str().to_owned())
            .unwrap_or_default(),
        link: match state.presence {
            Presence::Present => BoardLink::Up,
            Presence::Silent | Presence::Unknown => BoardLink::Silent,
            Presence::Absent(reason) => BoardLink::Down(cut(reason)),
            Presence::OtherProtocol(proto) => BoardLink::OtherProtocol(proto),
        },
        volts: value(|measured| measured.volts, Source::Measured),
        amperes: value(|measured| measured.amperes, Source::Measured),
        celsius: value(|measured| measured.celsius, Source::Measured),
        charge: value(|measured| measured.charge, Source::Measured),
        // Summed from measurements.
        energy_wh: value(|measured| measured.energy_wh, Source::Estimated),
        temperatures: temps.iter().map(|(at, dc)| (*at, f32::from(*dc) / 10.0)).collect(),
        relays: state.readings.relays.into_iter().collect(),
        counts: BoardCounts {
            messages: counters.messages,
            dropped: counters.dropped(),
            missing: counters.missing,
            opens: state.opens,
        },
    })
}
