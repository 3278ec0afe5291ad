//! What a node says to a board, and what the board does about it.

use protocol::serial::{Ack, Cmd, Kind, Message, Op, SetRate};

use crate::machine::Board;

/// How often power and temperatures are said unless a node asks otherwise, in ms.
pub const PERIOD_MS: u32 = 1000;
/// Most often, in ms: samples are taken that often.
const PERIOD_MS_MIN: u32 = 100;
/// Most seldom, in ms, apart from never.
const PERIOD_MS_MAX: u32 = 3_600_000;

/// The numbers of events that every board has; a firmware's own begin at 256.
pub mod code {
    /// The power sensor does not answer, or says what cannot be.
    pub const SENSOR_LOST: u16 = 1;
    /// It answers again.
    pub const SENSOR_BACK: u16 = 2;
    /// The voltage is too low.
    pub const UNDER_VOLTAGE: u16 = 3;
    /// It is right again.
    pub const VOLTAGE_RIGHT: u16 = 4;
    /// What a node asked for is not there.
    pub const REFUSED: u16 = 5;
    /// The board starts because a task hung before.
    pub const WATCHDOG: u16 = 6;
}

/// Does what a node says.
pub(crate) fn obey(board: &mut Board, now_ms: u32, message: &Message) {
    match message {
        Message::Ping(ping) => board.say(Message::Ping(*ping)),
        Message::Cmd(cmd) => command(board, now_ms, *cmd),
        Message::Time(time) => board.time = Some((now_ms, *time)),
        Message::Relay(relay) => match board.relays.set(relay.ch, relay.on) {
            true => board.tell_relay(relay.ch),
            false => board.event(code::REFUSED, 2, "there is no such relay"),
        },
        Message::SetRate(rate) => set_rate(board, *rate),
        // What boards say to nodes: an echo on the line.
        Message::Hello(_)
        | Message::Power(_)
        | Message::Temp(_)
        | Message::Event(_)
        | Message::Ack(_)
        | Message::Log(_) => {}
    }
}

/// Does a command once: a node that did not hear the answer says it again.
fn command(board: &mut Board, now_ms: u32, cmd: Cmd) {
    let ack = match board.answered {
        Some(ack) if ack.id == cmd.id => ack,
        _ => Ack { id: cmd.id, res: execute(board, now_ms, cmd.op) },
    };
    board.answered = Some(ack);
    board.say(Message::Ack(ack));
}

fn execute(board: &mut Board, now_ms: u32, op: Op) -> i8 {
    match op {
        Op::Identify => board.hello.last_ms = None,
        Op::Status => {
            (0..board.relays.count()).for_each(|ch| board.tell_relay(ch));
            board.tell_rate(Kind::Power, board.power_rate.period_ms);
            board.tell_rate(Kind::Temp, board.temp_rate.period_ms);
        }
        Op::PowerCycle { ch, off_ms } => {
            let res = board.relays.cycle(now_ms, ch, off_ms);
            if res == Ack::DONE {
                board.tell_relay(ch);
            }
            return res;
        }
        Op::ResetEnergy => board.energy.reset(),
        Op::Restart => board.is_restarting = true,
    }
    Ack::DONE
}

fn set_rate(board: &mut Board, rate: SetRate) {
    let period_ms = match rate.period_ms {
        0 => 0,
        asked => asked.clamp(PERIOD_MS_MIN, PERIOD_MS_MAX),
    };
    let kind = Kind::of(rate.kind);
    match kind {
        Some(Kind::Power) => board.power_rate.period_ms = period_ms,
        Some(Kind::Temp) => board.temp_rate.period_ms = period_ms,
        _ => return board.event(code::REFUSED, 2, "that kind has no rate"),
    }
    if let Some(kind) = kind {
        board.tell_rate(kind, period_ms);
    }
}
