//! Stories of commands that have their time.

use protocol::event::TimedOutcome;

use super::*;

/// Sky seconds of a story that begins at zero.
fn sky(seconds: f64) -> Epoch {
    now_at(0).sky.plus_s(seconds)
}

fn command(id: u64, epoch: u64, verb: Verb) -> Command {
    let (node, deadline) = (node("sat-1"), sky(100_000.0));
    Command { id, seq: id, epoch: LeaderEpoch(epoch), node, deadline, verb }
}

fn at(seconds: f64, until: f64) -> Verb {
    Verb::At { at: sky(seconds), until: sky(until), act: Act::ReportNow }
}

/// A node whose disk takes everything, and what it has kept.
struct Node {
    story: Story,
    kept: Option<Vec<u8>>,
    told: Vec<(u64, TimedOutcome)>,
    samples: usize,
    verdicts: Vec<CommandVerdict>,
}

impl Node {
    fn begin() -> Self {
        Self::again(None, 0)
    }

    fn again(kept: Option<Vec<u8>>, ms: u64) -> Self {
        let remembered = Remembered { timed: kept.clone(), ..Remembered::default() };
        let (agent, outputs) = Agent::start(setup(), remembered, &now_at(ms));
        let story = Story { agent, ms, next_ticket: 0 };
        let mut node = Self { story, kept, told: Vec::new(), samples: 0, verdicts: Vec::new() };
        node.does(outputs, usize::MAX);
        node.samples = 0;
        node
    }

    /// Does what is said; after so many records, nothing more is kept: the power is gone.
    fn does(&mut self, mut outputs: Vec<Output>, mut saves: usize) {
        while !outputs.is_empty() {
            let mut more = Vec::new();
            for output in outputs {
                match output {
                    Output::Save { record, bytes } => {
                        if saves == 0 {
                            return;
                        }
                        saves -= 1;
                        if record == Record::Timed {
                            self.kept = Some(bytes);
                        }
                        let saved = Input::Saved { record, result: Ok(()) };
                        more.extend(self.story.agent.handle(&now_at(self.story.ms), saved));
                    }
                    Output::Event(event) => {
                        if let EventKind::Timed { id, outcome, .. } = event.kind {
                            self.told.push((id, outcome));
                        }
                    }
                    Output::Sample(_) => self.samples += 1,
                    Output::AnswerCommand { reply, .. } => self.verdicts.push(reply.verdict),
                    _ => {}
                }
            }
            outputs = more;
        }
    }

    fn says(&mut self, command: Command) -> CommandVerdict {
        let outputs = self.outputs(Input::Command { command, ticket: Ticket(9) });
        self.does(outputs, usize::MAX);
        self.verdicts.pop().unwrap()
    }

    fn outputs(&mut self, input: Input) -> Vec<Output> {
        self.story.agent.handle(&now_at(self.story.ms), input)
    }

    fn comes_to(&mut self, ms: u64) -> &mut Self {
        self.story.ms = ms;
        self.samples = 0;
        let outputs = self.outputs(Input::Timer);
        self.does(outputs, usize::MAX);
        self
    }
}

#[test]
fn a_command_is_known_again_by_its_time_to_the_nanosecond() {
    let exact = |ns: i64| Epoch::from_unix_ns(sky(300.0).unix_ns() + ns);
    let verb = Verb::At { at: exact(1_001), until: exact(900_001), act: Act::Nop };
    let mut node = Node::begin();
    assert_eq!(node.says(command(1, 1, verb.clone())), CommandVerdict::Scheduled);
    let mut node = Node::again(node.kept, 1_000);
    assert_eq!(node.says(command(1, 1, verb)), CommandVerdict::Scheduled);
}

#[test]
fn a_command_waits_for_its_time_and_is_done_once_without_a_link() {
    let mut node = Node::begin();
    // 30 sky seconds in a second.
    assert_eq!(node.says(command(1, 1, at(300.0, 330.0))), CommandVerdict::Scheduled);
    assert_eq!(node.says(command(1, 1, at(300.0, 330.0))), CommandVerdict::Scheduled);
    assert_eq!(node.comes_to(9_990).told, []);
    let deadline = node.story.agent.deadline(&now_at(9_990)).unwrap();
    assert!(deadline <= Instant(10_000_000_000));
    node.comes_to(10_000);
    assert_eq!(node.told, [(1, TimedOutcome::Done)]);
    assert!(GROUPS.len() <= node.samples);
    node.comes_to(10_500);
    assert_eq!(node.told.len(), 1);
}

#[test]
fn a_clock_that_goes_back_begins_nothing_twice() {
    let mut node = Node::begin();
    node.says(command(1, 1, at(300.0, 330.0)));
    node.comes_to(10_000);
    // The wall clock was set back: the same sky again, in the same process and in the next one.
    node.comes_to(9_000).comes_to(10_000);
    let mut again = Node::again(node.kept.clone(), 9_000);
    again.comes_to(10_000);
    assert_eq!((node.told.len(), again.told.len()), (1, 0));
    assert_eq!(again.says(command(1, 1, at(300.0, 330.0))), CommandVerdict::Done);
}

#[test]
fn what_missed_its_time_is_told_and_not_done() {
    let mut node = Node::begin();
    node.says(command(1, 1, at(300.0, 330.0)));
    // An hour ahead in a step, or off in between.
    let mut again = Node::again(node.kept.clone(), 3_600_000);
    assert_eq!(again.told, [(1, TimedOutcome::Missed)]);
    assert_eq!(again.says(command(1, 1, at(300.0, 330.0))), CommandVerdict::Expired);
    node.comes_to(3_600_000);
    assert_eq!(node.told, [(1, TimedOutcome::Missed)]);
}

#[test]
fn a_power_cut_at_any_record_does_nothing_twice() {
    for saves in 0..4 {
        let mut node = Node::begin();
        node.says(command(1, 1, at(300.0, 600.0)));
        node.story.ms = 10_000;
        node.samples = 0;
        let outputs = node.outputs(Input::Timer);
        let timed = outputs.iter().filter(|output| matches!(output, Output::Save { .. })).count();
        assert_eq!(timed, 1, "begun before it is done");
        node.does(outputs, saves);
        let first = node.samples.saturating_sub(GROUPS.len());
        let mut again = Node::again(node.kept.clone(), 10_100);
        again.comes_to(10_200);
        let told: Vec<_> =
            node.told.iter().chain(&again.told).map(|(_, outcome)| *outcome).collect();
        let expected = match saves {
            // Nothing of the beginning was kept, and nothing was done: it is done now.
            0 => vec![TimedOutcome::Done],
            // It was begun and done, and its end not kept: never again.
            1 => vec![TimedOutcome::Interrupted],
            _ => vec![TimedOutcome::Done],
        };
        assert_eq!(told, expected, "{saves} records kept, {first} samples");
    }
}

#[test]
fn a_disk_that_takes_nothing_has_nothing_done_until_it_does() {
    let mut node = Node::begin();
    node.says(command(1, 1, at(300.0, 600.0)));
    node.story.ms = 10_000;
    let outputs = node.outputs(Input::Timer);
    assert!(outputs.iter().any(|output| matches!(output, Output::Save { .. })));
    let result = Err("read-only file system".to_owned());
    let failed = node.outputs(Input::Saved { record: Record::Timed, result });
    assert!(!failed.iter().any(|output| matches!(output, Output::Save { .. })), "{failed:?}");
    node.comes_to(10_500);
    assert_eq!(node.told, []);
    node.comes_to(11_000);
    assert_eq!(node.told, [(1, TimedOutcome::Done)]);
}

#[test]
fn an_older_controller_neither_adds_nor_has_done() {
    let mut node = Node::begin();
    assert_eq!(node.says(command(1, 2, at(300.0, 330.0))), CommandVerdict::Scheduled);
    assert_eq!(node.says(command(7, 3, Verb::Nop)), CommandVerdict::Done);
    let stale = CommandVerdict::Stale { epoch: LeaderEpoch(3) };
    assert_eq!(node.says(command(2, 2, at(300.0, 330.0))), stale);
    node.comes_to(10_000);
    assert_eq!(node.told, [(1, TimedOutcome::Stale)]);
}

#[test]
fn a_command_is_taken_back_before_it_begins_and_not_after() {
    let mut node = Node::begin();
    node.says(command(1, 1, at(300.0, 330.0)));
    node.says(command(2, 1, at(300.0, 330.0)));
    let cancel = |id| Verb::Cancel { epoch: LeaderEpoch(1), id };
    assert_eq!(node.says(command(10, 1, cancel(1))), CommandVerdict::Done);
    assert_eq!(node.told, [(1, TimedOutcome::Cancelled)]);
    node.comes_to(10_000);
    assert_eq!(node.told[1..], [(2, TimedOutcome::Done)]);
    let refused = |verdict| matches!(verdict, CommandVerdict::Denied { .. });
    assert!(refused(node.says(command(11, 1, cancel(2)))));
    assert!(refused(node.says(command(12, 1, cancel(3)))));
}

#[test]
fn commands_are_bounded_and_what_is_forgotten_is_not_taken_again() {
    let mut node = Node::begin();
    for id in 0..64 {
        assert_eq!(node.says(command(id, 1, at(30.0, 60.0))), CommandVerdict::Scheduled);
    }
    let full = node.says(command(64, 1, at(30.0, 60.0)));
    assert!(matches!(full, CommandVerdict::Denied { .. }), "{full:?}");
    node.comes_to(1_000);
    for round in 1..4_u64 {
        for id in 0..64 {
            let until = 20_000.0 * f64::from(u32::try_from(round).unwrap());
            node.says(command(round * 100 + id, 1, at(30.0, until)));
        }
        node.comes_to(1_000 + round);
    }
    assert_eq!(node.told.len(), 256);
    // A start with nothing but the record: the first ones are forgotten, and too late whatever the clock says.
    let mut again = Node::again(node.kept.clone(), 0);
    assert_eq!(again.says(command(0, 1, at(30.0, 60.0))), CommandVerdict::Expired);
}
