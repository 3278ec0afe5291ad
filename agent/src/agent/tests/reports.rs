//! Stories of what a node says: reports, measurements, events and answers to commands.

use super::*;

#[test]
fn reports_are_due_together_and_measurements_once_an_interval() {
    let (mut agent, outputs) = Agent::start(setup(), Remembered::default(), &now_at(0));
    let mut seen: Vec<(u64, Output)> = outputs.into_iter().map(|output| (0, output)).collect();
    let mut ms = 0;
    while ms < 2000 {
        let deadline = agent.deadline(&now_at(ms)).unwrap();
        ms = deadline.0.div_ceil(1_000_000);
        if ms < 2000 {
            let outputs = agent.handle(&now_at(ms), Input::Timer);
            seen.extend(outputs.into_iter().map(|output| (ms, output)));
        }
    }
    for group in GROUPS {
        let times: Vec<_> =
            seen.iter().filter(|(_, o)| *o == Output::Sample(group)).map(|(at, _)| *at).collect();
        assert_eq!(times.len(), 2, "{group:?}: {times:?}");
        assert!((999..=1001).contains(&(times[1] - times[0])), "{group:?}: {times:?}");
    }
    let at_once = seen.iter().filter(|(at, o)| *at == 0 && matches!(o, Output::Sample(_))).count();
    assert_eq!(at_once, GROUPS.len(), "a node that sleeps in between wakes up once");
    let pings: Vec<_> =
        seen.iter().filter(|(_, o)| matches!(o, Output::Ping(_))).map(|(at, _)| *at).collect();
    assert_eq!(pings, [0, 1000]);
}

#[test]
fn a_report_carries_what_only_the_agent_knows() {
    let mut story = Story::serving("detect", tasks::handing_over(60_000));
    let sample = LinkSample { peer: node("drone"), at: now_at(5).sky, rtt_us: Some(9000) };
    story.says(Input::Pinged(sample.clone()));
    let unknown = Reading::Unknown(NoReading::NotYet);
    let compute = ReportBody::Compute(ComputeReport {
        capacity: Capacity::default(),
        free: Capacity::default(),
        load_milli_cpu: unknown,
        pss_mib: unknown,
        threads: unknown,
    });
    let outputs = story.at(10).says(Input::Sampled(compute));
    let [Output::Report(report)] = &outputs[..] else { panic!("{outputs:?}") };
    let ReportBody::Compute(compute) = &report.body else { panic!("{report:?}") };
    assert_eq!(compute.free, Capacity { milli_cpu: MilliCpu(3000), memory_mib: MiB(768) });
    assert_eq!((report.header.seq, report.header.at), (1, now_at(10).sky));
    // Started, taken over, prepared.
    assert_eq!(report.last_event_seq, 3);
    let links = ReportBody::Link(LinkReport { samples: Vec::new() });
    let outputs = story.says(Input::Sampled(links.clone()));
    let [Output::Report(report)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(report.body, ReportBody::Link(LinkReport { samples: vec![sample] }));
    let outputs = story.says(Input::Sampled(links.clone()));
    let [Output::Report(report)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(report.body, links, "a sample is told once");
    let queue = ReportBody::Queue(QueueReport {
        invocations_waiting: 0,
        transfers_waiting: 0,
        state_bytes: 0,
        frames_dropped: 0,
        reports_dropped: 0,
    });
    let outputs = story.says(Input::Sampled(queue));
    let [Output::Report(report)] = &outputs[..] else { panic!("{outputs:?}") };
    let ReportBody::Queue(queue) = &report.body else { panic!("{report:?}") };
    assert_eq!(queue.transfers_waiting, 1);
}

#[test]
fn events_are_numbered_and_replayed_and_the_oldest_go_first() {
    let mut log = Log::new(node("sat-1"), BootId(7));
    assert_eq!(log.page(1), protocol::event::EventPage { events: Vec::new(), lost: 0 });
    let mut told = Vec::<Event>::new();
    for number in 0..1100 {
        let reason = number.to_string();
        told.push(log.event(&now_at(number), EventKind::Refused { reason }));
    }
    // (asked from) → (first answered, how many, lost)
    for (from, first, count, lost) in
        [(0, 77, 64, 76), (77, 77, 64, 0), (50, 77, 64, 27), (1090, 1090, 11, 0)]
    {
        let page = log.page(from);
        assert_eq!(page.events[0].header.seq, first);
        assert_eq!((page.events.len(), page.lost), (count, lost), "from {from}");
        let index = usize::try_from(first - 1).unwrap();
        assert_eq!(page.events, told[index..index + count]);
    }
    assert_eq!(log.page(1101), protocol::event::EventPage { events: Vec::new(), lost: 0 });
}

#[test]
fn missed_events_are_asked_for() {
    let mut story = Story::begin();
    let query = EventQuery { from_seq: 1 };
    let outputs = story.says(Input::EventsAsked { query, ticket: Ticket(5) });
    let [Output::AnswerEvents { ticket: Ticket(5), page }] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert!(matches!(page.events[0].kind, EventKind::Started(_)));
}

fn command(id: u64, epoch: u64, verb: Verb) -> Command {
    Command {
        id,
        seq: id,
        epoch: LeaderEpoch(epoch),
        node: node("sat-1"),
        deadline: now_at(10_000).sky,
        verb,
    }
}

fn command_verdict(outputs: &[Output]) -> CommandVerdict {
    let [.., Output::AnswerCommand { reply, .. }] = outputs else { panic!("{outputs:?}") };
    reply.verdict.clone()
}

#[test]
fn a_command_is_fenced_bounded_in_time_and_executed_once() {
    let mut story = Story::begin();
    story.obeys(desired(3, 1, &[]));
    let mut says = |command: Command| {
        let outputs = story.agent.handle(&now_at(0), Input::Command { command, ticket: Ticket(1) });
        let samples = outputs.iter().filter(|o| matches!(o, Output::Sample(_))).count();
        (command_verdict(&outputs), samples)
    };
    assert_eq!(says(command(1, 3, Verb::ReportNow)), (CommandVerdict::Done, GROUPS.len()));
    assert_eq!(says(command(1, 3, Verb::ReportNow)), (CommandVerdict::Done, 0));
    let stale = CommandVerdict::Stale { epoch: LeaderEpoch(3) };
    assert_eq!(says(command(2, 2, Verb::Nop)), (stale, 0));
    let late = Command { deadline: now_at(0).sky.plus_s(-1.0), ..command(3, 3, Verb::Nop) };
    assert_eq!(says(late), (CommandVerdict::Expired, 0));
    let other = Command { node: node("sat-2"), ..command(4, 3, Verb::Nop) };
    assert!(matches!(says(other).0, CommandVerdict::Denied { .. }));
    let later = Verb::FlTrain { task: "t".to_owned() };
    assert_eq!(says(command(5, 3, later)), (CommandVerdict::Unsupported, 0));
}

#[test]
fn a_command_of_a_new_controller_fences_the_old_one_for_ever() {
    let mut story = Story::begin();
    story.obeys(desired(3, 9, &[]));
    let ask = Input::Command { command: command(1, 4, Verb::Nop), ticket: Ticket(1) };
    let outputs = story.says(ask);
    let [Output::Save { record: Record::Fence, bytes }] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    let fence = Some(bytes.clone());
    let outputs = story.says(Input::Saved { record: Record::Fence, result: Ok(()) });
    assert_eq!(command_verdict(&outputs), CommandVerdict::Done);
    let stale = Verdict::Stale { epoch: LeaderEpoch(4), generation: Generation(0) };
    let verdict = verdicts(&story.told(desired(3, 10, &[])));
    assert_eq!(verdict, std::slice::from_ref(&stale));
    let remembered =
        Remembered { desired: Some(desired(3, 9, &[])), fence, ..Remembered::default() };
    let (mut story, _) = Story::again(remembered, 0);
    assert_eq!(verdicts(&story.told(desired(3, 10, &[]))), [stale]);
}
