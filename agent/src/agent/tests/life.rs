//! Stories of a node whose program changes, and of one that must not run functions.

use protocol::event::UpdateStep;

use super::*;

fn command(id: u64, epoch: u64, verb: Verb) -> Command {
    let deadline = now_at(0).sky.plus_s(3600.0);
    Command { id, seq: id, epoch: LeaderEpoch(epoch), node: node("sat-1"), deadline, verb }
}

pub(super) fn asks(story: &mut Story, (id, epoch): (u64, u64), verb: Verb) -> Vec<Output> {
    let ticket = Ticket(story.next_ticket);
    story.next_ticket += 1;
    story.says(Input::Command { command: command(id, epoch, verb), ticket })
}

fn in_safe_mode() -> (Story, Vec<Output>) {
    let safe = Setup {
        safe_mode: Some(SafeMode { failed: 5, left_s: 600 }),
        capacity: Capacity::default(),
        ..setup()
    };
    let remembered = desired(1, 1, &[spec("detect", OWNER)]);
    let remembered = Remembered { desired: Some(remembered), ..Remembered::default() };
    let (agent, outputs) = Agent::start(safe, remembered, &now_at(0));
    (Story { agent, ms: 0, next_ticket: 0 }, quiet(outputs))
}

#[test]
fn an_update_is_judged_by_the_shell_and_answered_once() {
    let mut story = Story::begin();
    let update = || Verb::Update { release: vec![1, 2], within_s: 60, is_rehearsal: false };
    let outputs = asks(&mut story, (7, 0), update());
    let [Output::Update { ticket, asked }] = &outputs[..] else { panic!("{outputs:?}") };
    let expected =
        Asked { command: (0, 7), release: vec![1, 2], within_s: 60, is_rehearsal: false };
    assert_eq!(**asked, expected);
    let verdict = CommandVerdict::Scheduled;
    let reply = CommandReply { id: 7, verdict: verdict.clone() };
    let answer = |ticket| Output::AnswerCommand { ticket, reply: reply.clone() };
    let judged = Input::Judged { ticket: *ticket, id: 7, verdict };
    assert_eq!(story.says(judged), [answer(*ticket)]);
    assert_eq!(asks(&mut story, (7, 0), update()), [answer(Ticket(1))], "from memory");
}

#[test]
fn a_controller_of_the_past_updates_nothing() {
    let mut story = Story::begin();
    story.obeys(desired(3, 1, &[]));
    let outputs = asks(&mut story, (8, 0), Verb::Resume);
    let stale = CommandVerdict::Stale { epoch: LeaderEpoch(3) };
    let reply = CommandReply { id: 8, verdict: stale };
    assert_eq!(outputs, [Output::AnswerCommand { ticket: Ticket(1), reply }]);
}

#[test]
fn what_happens_to_the_program_is_an_event() {
    let mut story = Story::begin();
    let (version, reason) = ("0.2.0".to_owned(), "no receipt".to_owned());
    let kind = EventKind::Update { number: 9, version, step: UpdateStep::RolledBack, reason };
    let outputs = story.says(Input::Happened(kind.clone()));
    assert!(matches!(&outputs[..], [Output::Event(event)] if event.kind == kind), "{outputs:?}");
}

#[test]
fn in_safe_mode_nothing_that_is_desired_is_done_and_nothing_is_offered() {
    let (mut story, outputs) = in_safe_mode();
    let is_told = |output: &Output| {
        let Output::Event(event) = output else { return false };
        event.kind == EventKind::SafeMode { failed: 5, for_s: 600 }
    };
    assert!(outputs.iter().any(is_told), "{outputs:?}");
    let does = |outputs: &[Output]| {
        let does =
            |output: &Output| matches!(output, Output::Hold(_) | Output::Load(_) | Output::Call(_));
        outputs.iter().any(does)
    };
    assert!(!does(&outputs), "{outputs:?}");
    assert_eq!(story.agent.facts().capacity, Capacity::default());
    let more = story.told(desired(1, 2, &[spec("detect", OWNER)]));
    let denied = |output: &Output| matches!(output, Output::AnswerDesired { reply, .. } if matches!(reply.verdict, Verdict::Denied { .. }));
    assert!(more.iter().any(denied), "{more:?}");
    assert!(!does(&story.obeys(desired(1, 3, &[]))), "nothing to do is taken");
    let outputs = asks(&mut story, (9, 1), Verb::Resume);
    assert!(matches!(outputs[..], [Output::Resume { id: 9, .. }]), "{outputs:?}");
}

#[test]
fn what_runs_is_known_by_name() {
    let mut story = Story::begin();
    story.obeys(desired(1, 1, &[spec("detect", OWNER)]));
    let name = || vec!["flood.detect".to_owned()];
    assert_eq!(story.agent.standing(), (name(), Vec::new()));
    story.takes_role("detect", Some(1), status(Ownership::Owner, 1, false));
    story.loads("detect");
    assert_eq!(story.agent.standing(), (name(), name()));
}
