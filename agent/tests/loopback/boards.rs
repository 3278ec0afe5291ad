//! Orders for a board at a serial line of a node: a real terminal of the kernel, and the board's own program behind it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::command::{BoardOrder, Command, CommandReply, CommandVerdict, Verb};
use protocol::encode;
use types::{Epoch, LeaderEpoch};

use crate::bench::{CONFIG, Faults, Opened, plug};
use crate::support::{Agent, Session, eventually, keys};

const CYCLE: BoardOrder = BoardOrder::PowerCycle { relay: 1, off_ms: 100 };

fn says(
    controller: &Session,
    agent: &Agent,
    id: u64,
    (board, order): (&str, BoardOrder),
) -> CommandVerdict {
    let command = Command {
        id,
        seq: id,
        epoch: LeaderEpoch(0),
        node: agent.name.clone(),
        deadline: Epoch::from_unix_ns(i64::MAX / 2),
        verb: Verb::Board { board: board.to_owned(), order },
    };
    let key = keys().command(&agent.name, id);
    let frame = encode(&command).expect("a valid command");
    let reply: CommandReply = controller.answer(&key, &frame);
    assert_eq!(reply.id, id);
    reply.verdict
}

#[track_caller]
fn denied(verdict: &CommandVerdict, words: &str) {
    assert!(
        matches!(verdict, CommandVerdict::Denied { reason } if reason.contains(words)),
        "{verdict:?}"
    );
}

#[test]
fn orders_of_the_controller_are_done_once_and_every_refusal_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let device = dir.path().join("usb-board");
    let extra = format!("[[mcu]]\nname = \"eps\"\ndevice = {device:?}\nrole = \"power-switch\"\n");
    let agent = Agent::start(dir.path(), "sat-1", &[], &extra);
    let controller = Session::controller(&[agent.port], &[]);
    let order = |id, order| says(&controller, &agent, id, order);
    denied(&order(1, ("eps", CYCLE)), "there is no board");
    let opened = Arc::new(Opened::default());
    let plugged = plug(&device, CONFIG, Faults::default(), &opened);
    let mut id = 1;
    eventually("the board", || {
        id += 1;
        (order(id, ("eps", BoardOrder::ResetEnergy)) == CommandVerdict::Done).then_some(())
    });
    let count = || opened.0[1].load(Ordering::Relaxed);
    assert_eq!((order(100, ("eps", CYCLE)), count()), (CommandVerdict::Done, 1));
    assert_eq!((order(100, ("eps", CYCLE)), count()), (CommandVerdict::Done, 1), "from memory");
    // Whether the cycle has ended by then or not.
    let is = |is_on| BoardOrder::Relay { relay: 1, is_on };
    assert_eq!(order(103, ("eps", is(true))), CommandVerdict::Done);
    assert_eq!((order(104, ("eps", is(false))), count()), (CommandVerdict::Done, 2));
    denied(
        &order(101, ("eps", BoardOrder::Relay { relay: 7, is_on: true })),
        "no relay 7: the board has 2",
    );
    denied(&order(102, ("pdu", CYCLE)), "no board is named \"pdu\": eps");
    plugged.pull();
    eventually("that it is gone", || {
        id += 1;
        let verdict = order(id, ("eps", is(false)));
        matches!(verdict, CommandVerdict::Denied { reason } if reason.contains("no board"))
            .then_some(())
    });
}
