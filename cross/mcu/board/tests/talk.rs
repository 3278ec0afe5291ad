//! A board and who talks to it, over a line of memory: answers, rates, power cycles, and a line that damages what it carries.

use board::{Board, Config, PERIOD_MS, PowerSample, code};
use proptest::prelude::*;
use protocol::serial::{
    Ack, Cmd, Hello, Kind, Message, Op, Ping, Power, Receiver, Relay, Sender, SetRate, Time,
};

const CONFIG: Config = Config {
    uid: [1, 2, 3, 4, 5, 6, 7, 8],
    fw: "test 1.0",
    caps: Hello::POWER | Hello::TEMP,
    relays: 2,
    under_voltage_mv: Some(3300),
};

/// A node at the other end.
struct Bench {
    board: Board,
    sender: Sender,
    receiver: Receiver,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self {
            board: Board::new(CONFIG, 7),
            sender: Sender::new(400),
            receiver: Receiver::new(),
        };
        let start = bench.hear(0);
        assert!(matches!(start.as_slice(), [Message::Hello(_)]), "{start:?}");
        bench
    }

    fn tell(&mut self, now_ms: u32, message: &Message) {
        for byte in self.sender.frame(now_ms, message).expect("a valid message") {
            self.board.receive(now_ms, byte);
        }
    }

    fn hear(&mut self, now_ms: u32) -> Vec<Message> {
        let mut heard = Vec::new();
        while let Some(sent) = self.board.poll(now_ms) {
            heard.extend(sent.iter().filter_map(|byte| self.receiver.push(*byte).ok().flatten()));
        }
        heard.into_iter().map(|received| received.message).collect()
    }

    fn ask(&mut self, now_ms: u32, message: &Message) -> Vec<Message> {
        self.tell(now_ms, message);
        self.hear(now_ms)
    }
}

fn cmd(id: u16, op: Op) -> Message {
    Message::Cmd(Cmd { id, op })
}

fn ack(id: u16, res: i8) -> Message {
    Message::Ack(Ack { id, res })
}

fn relay(ch: u8, on: bool) -> Message {
    Message::Relay(Relay { ch, on })
}

fn measured(bus_mv: u16, cur_ma: i16) -> PowerSample {
    PowerSample { bus_mv: Some(bus_mv), cur_ma: Some(cur_ma), ..PowerSample::default() }
}

fn newest_power(heard: &[Message]) -> Power {
    let power = heard.iter().rev().find_map(|message| match message {
        Message::Power(power) => Some(*power),
        _ => None,
    });
    power.expect("power is said")
}

#[test]
fn a_board_says_who_it_is_at_its_start_when_asked_and_every_ten_seconds() {
    let mut bench = Bench::new();
    assert_eq!(bench.board.due_ms(0), Some(10_000));
    assert!(bench.hear(9_999).is_empty());
    let heard = bench.hear(10_000);
    let [Message::Hello(hello)] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!((hello.uid, hello.fw.as_str(), hello.relay_count()), (CONFIG.uid, "test 1.0", 2));
    let heard = bench.ask(10_001, &cmd(1, Op::Identify));
    assert!(matches!(heard.as_slice(), [Message::Ack(_), Message::Hello(_)]), "{heard:?}");
    bench.board.connected();
    assert!(matches!(bench.hear(10_002).as_slice(), [Message::Hello(_)]));
}

#[test]
fn what_holds_is_said_and_a_ping_comes_back() {
    let mut bench = Bench::new();
    let rate = |kind: Kind| Message::SetRate(SetRate { kind: kind as u8, period_ms: PERIOD_MS });
    let expected =
        [relay(0, true), relay(1, true), rate(Kind::Power), rate(Kind::Temp), ack(9, Ack::DONE)];
    assert_eq!(bench.ask(1, &cmd(9, Op::Status)), expected);
    let ping = Message::Ping(Ping { t_ms: u32::MAX });
    assert_eq!(bench.ask(1, &ping), [ping]);
    assert_eq!(bench.board.unix_ms(1), None);
    bench.tell(5, &Message::Time(Time { unix_ms: 1_000_000, sigma_us: 100 }));
    assert_eq!(bench.board.unix_ms(1005), Some(1_001_000));
}

#[test]
fn a_command_is_done_once_and_answered_each_time() {
    let mut bench = Bench::new();
    let cycle = cmd(1, Op::PowerCycle { ch: 1, off_ms: 5000 });
    assert_eq!(bench.ask(0, &cycle), [relay(1, false), ack(1, Ack::DONE)]);
    // The same frame again, then the same command in a frame of its own.
    assert_eq!(bench.ask(100, &cycle), [ack(1, Ack::DONE)]);
    assert_eq!(bench.board.relay(1), Some(false));
    let other = cmd(2, Op::PowerCycle { ch: 1, off_ms: 5000 });
    assert_eq!(bench.ask(200, &other), [ack(2, Ack::BUSY)]);
    // Nobody says anything any more: the one who asked may have lost its power by it.
    assert_eq!(bench.board.due_ms(200), Some(4800));
    assert!(bench.hear(4999).is_empty());
    assert_eq!(bench.hear(5000), [relay(1, true)]);
    assert_eq!(bench.ask(5001, &cycle), [relay(1, false), ack(1, Ack::DONE)], "not the newest");
}

#[test]
fn relays_are_states_and_what_is_not_there_is_refused() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        assert_eq!(bench.ask(0, &relay(0, false)), [relay(0, false)]);
    }
    for refused in [relay(2, false), Message::SetRate(SetRate { kind: 3, period_ms: 100 })] {
        let heard = bench.ask(0, &refused);
        let [Message::Event(event)] = heard.as_slice() else { panic!("{heard:?}") };
        assert_eq!((event.code, event.sev), (code::REFUSED, 2));
    }
    let no_channel = cmd(3, Op::PowerCycle { ch: 2, off_ms: 5000 });
    assert_eq!(bench.ask(0, &no_channel), [ack(3, Ack::NO_CHANNEL)]);
    bench.tell(0, &cmd(4, Op::Restart));
    assert!(!bench.board.wants_restart(), "the answer comes first");
    assert_eq!(bench.hear(0), [ack(4, Ack::DONE)]);
    assert!(bench.board.wants_restart());
}

#[test]
fn power_is_sampled_ten_times_a_second_and_said_as_often_as_asked() {
    let mut bench = Bench::new();
    let set = |kind: Kind, period_ms| Message::SetRate(SetRate { kind: kind as u8, period_ms });
    assert_eq!(bench.ask(0, &set(Kind::Power, 5)), [set(Kind::Power, 100)], "the nearest");
    assert_eq!(bench.ask(0, &set(Kind::Temp, 0)), [set(Kind::Temp, 0)]);
    bench.board.temperatures([(0, 251), (1, -400)]);
    let mut powers = Vec::new();
    // Ten minutes of 10 W out of the battery.
    for step in 0..=6000 {
        bench.board.sampled(step * 100, measured(10_000, -1000));
        powers.extend(bench.hear(step * 100));
    }
    powers.retain(|message| matches!(message, Message::Power(_)));
    assert_eq!(powers.len(), 6001);
    let power = newest_power(&powers);
    assert_eq!((power.energy_mwh, power.flags), (-1666, Power::MEASURED));
    assert!(matches!(bench.ask(600_000, &cmd(1, Op::ResetEnergy)).as_slice(), [Message::Ack(_)]));
    bench.board.sampled(600_100, measured(10_000, -1000));
    assert_eq!(newest_power(&bench.hear(600_100)).energy_mwh, 0);
}

#[test]
fn what_is_not_measured_is_not_zero() {
    let mut bench = Bench::new();
    bench.board.sampled(0, measured(4000, 100));
    assert_eq!(newest_power(&bench.hear(0)).flags, Power::MEASURED);
    bench.board.sampled(1000, PowerSample { bus_mv: Some(4000), ..PowerSample::default() });
    let heard = bench.hear(1000);
    let [Message::Event(event), Message::Power(power)] = heard.as_slice() else {
        panic!("{heard:?}")
    };
    assert_eq!((event.code, power.flags), (code::SENSOR_LOST, Power::ENERGY_GAP));
    bench.board.sampled(2000, PowerSample { temp_dc: Some(-5), ..measured(3299, 100) });
    let heard = bench.hear(2000);
    let codes: Vec<u16> = heard
        .iter()
        .filter_map(|message| match message {
            Message::Event(event) => Some(event.code),
            _ => None,
        })
        .collect();
    assert_eq!(codes, [code::SENSOR_BACK, code::UNDER_VOLTAGE]);
    let flags = Power::MEASURED | Power::TEMP_MEASURED | Power::ENERGY_GAP | Power::UNDER_VOLTAGE;
    assert_eq!(newest_power(&heard).flags, flags);
    // It is not right again before it is a little above the limit.
    bench.board.sampled(2100, measured(3310, 100));
    assert!(bench.hear(2100).is_empty());
    bench.board.sampled(2200, measured(3404, 100));
    assert!(matches!(bench.hear(2200).as_slice(), [Message::Event(_)]));
}

#[test]
fn a_line_that_takes_nothing_costs_memory_for_sixteen_messages() {
    let mut bench = Bench::new();
    for id in 0..100 {
        bench.tell(0, &cmd(id, Op::ResetEnergy));
    }
    assert_eq!(bench.board.lost(), 84);
    let expected: Vec<_> = (0..16).map(|id| ack(id, Ack::DONE)).collect();
    assert_eq!(bench.hear(0), expected);
}

/// What a line does to a byte.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Lost,
    Turned(u8),
    Doubled,
}

fn faults() -> impl Strategy<Value = Vec<(prop::sample::Index, Fault)>> {
    let fault =
        prop_oneof![Just(Fault::Lost), (0..8_u8).prop_map(Fault::Turned), Just(Fault::Doubled)];
    proptest::collection::vec((any::<prop::sample::Index>(), fault), 0..6)
}

fn damaged(bytes: &[u8], faults: &[(prop::sample::Index, Fault)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        let hit = faults.iter().find(|(index, _)| index.index(bytes.len()) == at);
        match hit.map(|(_, fault)| *fault) {
            None => out.push(*byte),
            Some(Fault::Lost) => {}
            Some(Fault::Turned(bit)) => out.push(byte ^ (1 << bit)),
            Some(Fault::Doubled) => out.extend([*byte, *byte]),
        }
    }
    out
}

proptest! {
    /// A node that says a command until it is answered gets it done exactly once, whatever the line does.
    #[test]
    fn a_command_over_a_bad_line_is_done_exactly_once(
        there in proptest::collection::vec(faults(), 1..12),
        back in proptest::collection::vec(faults(), 1..12),
    ) {
        let mut bench = Bench::new();
        let command = cmd(77, Op::PowerCycle { ch: 0, off_ms: 600_000 });
        let (mut is_answered, mut offs, mut at) = (false, 0, 0_u32);
        let tries = there.iter().zip(&back).map(Some).chain([None, None]);
        for faults in tries {
            if is_answered {
                break;
            }
            let none = Vec::new();
            let (there, back) = faults.unwrap_or((&none, &none));
            // A pause: the line begins with a zero byte.
            at += 300;
            let was_on = bench.board.relay(0) == Some(true);
            for byte in damaged(&bench.sender.frame(at, &command).unwrap(), there) {
                bench.board.receive(at, byte);
            }
            offs += u32::from(was_on && bench.board.relay(0) == Some(false));
            while let Some(sent) = bench.board.poll(at) {
                for byte in damaged(&sent, back) {
                    let heard = bench.receiver.push(byte).ok().flatten();
                    is_answered |= heard.is_some_and(|it| it.message == ack(77, Ack::DONE));
                }
            }
        }
        prop_assert!(is_answered);
        prop_assert_eq!(offs, 1);
    }

    #[test]
    fn any_bytes_leave_a_board_that_answers(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let mut bench = Bench::new();
        for byte in &bytes {
            bench.board.receive(0, *byte);
        }
        bench.sender.reopened();
        let ping = Message::Ping(Ping { t_ms: 1 });
        prop_assert_eq!(bench.ask(500, &ping), vec![ping]);
    }
}
