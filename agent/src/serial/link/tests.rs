//! A node and a board over a line of memory, in time that is told.

use board::{Board, Config, PowerSample};

use super::*;

const CONFIG: Config = Config {
    uid: [1, 2, 3, 4, 5, 6, 7, 8],
    fw: "test 1.0",
    caps: Hello::POWER,
    relays: 2,
    under_voltage_mv: None,
};
const TIME: Time = Time { unix_ms: 1_795_951_468_000, sigma_us: 1000 };

/// Both ends; time goes on by a ms with each step.
struct Bed {
    link: Link,
    board: Board,
    now_ms: u32,
    /// Whether the line carries anything to the board, and from it.
    carries: (bool, bool),
    news: Vec<News>,
}

impl Bed {
    fn new() -> Self {
        let (link, board) = (Link::new(500, 4321), Board::new(CONFIG, 1));
        let mut bed = Self { link, board, now_ms: 0, carries: (true, true), news: Vec::new() };
        bed.link.opened(0);
        bed
    }

    fn run(&mut self, ms: u32) {
        for _ in 0..ms {
            let now = u64::from(self.now_ms);
            while let Some(sent) = self.link.poll(now, TIME) {
                if self.carries.0 {
                    sent.iter().for_each(|byte| self.board.receive(self.now_ms, *byte));
                }
            }
            if self.now_ms.is_multiple_of(100) {
                let sample = PowerSample {
                    bus_mv: Some(12_000),
                    cur_ma: Some(-500),
                    ..PowerSample::default()
                };
                self.board.sampled(self.now_ms, sample);
            }
            while let Some(sent) = self.board.poll(self.now_ms) {
                if self.carries.1 {
                    self.link.receive(now, &sent);
                }
            }
            self.news.extend(std::iter::from_fn(|| self.link.news()));
            self.now_ms += 1;
        }
    }

    fn readings(&self) -> Readings {
        self.link.readings(u64::from(self.now_ms))
    }

    fn answer(&mut self, order: Order) -> Vec<Result<(), OrderError>> {
        self.news.clear();
        self.link.order(u64::from(self.now_ms), 7, order);
        self.run(3000);
        let answer = |news: &News| match news {
            News::Answered(7, result) => Some(result.clone()),
            _ => None,
        };
        self.news.iter().filter_map(answer).collect()
    }
}

#[test]
fn a_board_is_identified_told_the_time_and_asked_for_values() {
    let mut bed = Bed::new();
    bed.run(1000);
    let readings = bed.readings();
    assert_eq!(readings.board.map(|board| board.uid), Some(CONFIG.uid));
    assert_eq!(readings.power.map(|power| (power.bus_mv, power.cur_ma)), Some((12_000, -500)));
    assert_eq!(readings.relays, BTreeMap::from([(0, true), (1, true)]));
    assert_eq!(bed.news.iter().filter(|n| matches!(n, News::Identified(_))).count(), 1);
    assert!(bed.board.unix_ms(bed.now_ms).is_some_and(|unix_ms| TIME.unix_ms <= unix_ms));
    let before = bed.readings().counters.messages;
    bed.run(60_000);
    // Two values a second; every ten seconds a Hello, and what holds twice: as the answer, and about each rate.
    let said = bed.readings().counters.messages - before;
    assert!((120 + 6 * 6..=120 + 6 * 10).contains(&said), "{said}");
    assert_eq!(bed.readings().counters.dropped(), 0);
}

#[test]
fn nobody_there_is_asked_each_second() {
    let mut bed = Bed::new();
    bed.carries = (true, false);
    bed.run(5000);
    assert_eq!(bed.readings(), Readings::default());
    assert_eq!(bed.link.due_ms(), Some(5000));
    bed.link.order(0, 1, Order::ResetEnergy);
    assert!(matches!(bed.link.news(), Some(News::Answered(1, Err(OrderError::NotThere(_))))));
}

#[test]
fn orders_are_answered_once_and_repeated_until_they_are() {
    let mut bed = Bed::new();
    bed.run(1000);
    let off = Order::Relay(Relay { ch: 1, on: false });
    assert_eq!(bed.answer(off), [Ok(())]);
    assert_eq!((bed.board.relay(1), bed.readings().relays[&1]), (Some(false), false));
    assert_eq!(bed.answer(off), [Ok(())], "it is so already");
    let cycle = Order::PowerCycle { ch: 0, off_ms: 20_000 };
    assert_eq!(bed.answer(cycle), [Ok(())]);
    let busy = OrderError::Refused("the relay is in the middle of a power cycle");
    assert_eq!(bed.answer(cycle), [Err(busy)]);
    assert_eq!(bed.board.relay(0), Some(false));
    bed.run(20_000);
    assert!(bed.readings().relays[&0]);
    let none = OrderError::NoRelay { ch: 2, count: 2 };
    assert_eq!(bed.answer(Order::PowerCycle { ch: 2, off_ms: 5000 }), [Err(none)]);
}

#[test]
fn an_order_whose_answer_is_lost_is_done_once() {
    let mut bed = Bed::new();
    bed.run(1000);
    bed.link.order(1000, 9, Order::PowerCycle { ch: 0, off_ms: 1000 });
    bed.carries = (true, false);
    // Its power cycle is over before it is heard again; a second one would be seen.
    bed.run(1500);
    assert_eq!(bed.board.relay(0), Some(true));
    bed.carries = (true, true);
    bed.run(400);
    assert_eq!(bed.board.relay(0), Some(true));
    let answered = News::Answered(9, Ok(()));
    assert_eq!(bed.news.iter().filter(|news| **news == answered).count(), 1);
}

#[test]
fn a_silent_board_leaves_nothing_that_looks_new() {
    let mut bed = Bed::new();
    bed.run(1000);
    bed.carries = (false, false);
    assert_eq!(bed.answer(Order::ResetEnergy), [Err(OrderError::Silent)]);
    bed.run(500);
    assert!(bed.readings().is_heard && bed.readings().power.is_none());
    bed.run(25_000);
    assert!(!bed.readings().is_heard);
    bed.carries = (true, true);
    bed.run(10_000);
    assert!(bed.readings().is_heard && bed.readings().power.is_some());
}

#[test]
fn a_restart_and_another_board_are_told_apart() {
    let mut bed = Bed::new();
    bed.run(1000);
    // The same board starts anew and has forgotten how often it was asked to speak.
    bed.board = Board::new(CONFIG, 40_000);
    bed.news.clear();
    bed.run(1000);
    let before = bed.readings().counters.messages;
    bed.run(5000);
    let said = bed.readings().counters.messages - before;
    assert!((9..=11).contains(&said), "{said}");
    assert!(!bed.news.iter().any(|news| matches!(news, News::Identified(_))));
    bed.link.order(u64::from(bed.now_ms), 3, Order::ResetEnergy);
    bed.board = Board::new(Config { uid: [9; 8], ..CONFIG }, 60_000);
    bed.news.clear();
    bed.carries = (false, true);
    bed.run(1000);
    let is_other = |news: &News| matches!(news, News::Identified(hello) if hello.uid == [9; 8]);
    assert!(bed.news.iter().any(is_other));
    let is_answered = |news: &News| matches!(news, News::Answered(3, Err(OrderError::NotThere(_))));
    assert!(bed.news.iter().any(is_answered), "{:?}", bed.news);
}

#[test]
fn another_protocol_is_not_talked_to() {
    let mut link = Link::new(500, 1);
    link.opened(0);
    let hello =
        Hello { proto: PROTO + 1, schema: 0, uid: [1; 8], fw: heapless_text("old"), caps: 0 };
    let sent = Sender::new(0).frame(0, &Message::Hello(hello)).unwrap();
    link.receive(0, &sent);
    assert_eq!(link.news(), Some(News::OtherProtocol(PROTO + 1)));
    assert_eq!((link.poll(5000, TIME), link.due_ms()), (None, None));
    assert_eq!(link.readings(0).board, None);
    link.opened(6000);
    assert!(link.poll(6000, TIME).is_some(), "it may be another board");
}

/// The type of the text is that of the message, whatever library it is from.
fn heapless_text<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text} fits"))
}
