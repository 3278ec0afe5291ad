//! Stories of a node that is to have its boards do something.

use protocol::command::BoardOrder;

use super::life::asks;
use super::*;

const CYCLE: BoardOrder = BoardOrder::PowerCycle { relay: 0, off_ms: 2_000 };

fn order() -> Verb {
    Verb::Board { board: "eps".to_owned(), order: CYCLE }
}

#[test]
fn an_order_that_is_said_again_is_done_once_and_answered_to_all() {
    let mut story = Story::begin();
    let outputs = asks(&mut story, (7, 0), order());
    let [Output::Board { ticket, id: 7, board, order: CYCLE }] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(board, "eps");
    assert_eq!(asks(&mut story, (7, 0), order()), [], "the board is at it");
    let verdict = CommandVerdict::Denied { reason: "the board did not answer".to_owned() };
    let reply = CommandReply { id: 7, verdict: verdict.clone() };
    let answer = |ticket| Output::AnswerCommand { ticket, reply: reply.clone() };
    let judged = Input::Judged { ticket: *ticket, id: 7, verdict };
    assert_eq!(story.says(judged), [answer(*ticket), answer(Ticket(1))]);
    assert_eq!(asks(&mut story, (7, 0), order()), [answer(Ticket(2))], "from memory");
}

#[test]
fn a_controller_of_the_past_switches_nothing() {
    let mut story = Story::begin();
    story.obeys(desired(3, 1, &[]));
    let outputs = asks(&mut story, (8, 0), order());
    let stale = CommandVerdict::Stale { epoch: LeaderEpoch(3) };
    let reply = CommandReply { id: 8, verdict: stale };
    assert_eq!(outputs, [Output::AnswerCommand { ticket: Ticket(1), reply }]);
}
