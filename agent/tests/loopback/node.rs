//! One node: what it obeys, survives, refuses and keeps apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use protocol::command::{Command, CommandReply, CommandVerdict, Verb};
use protocol::desired::{Phase, Role, Verdict};
use protocol::encode;
use protocol::event::{EventKind, EventPage, EventQuery};
use protocol::key::{BeltService, SimKeys};
use protocol::report::{Group, Ping, Report, ReportBody};
use protocol::sim::{SimClock, SimEnv};
use types::{BootId, Epoch, Generation, LeaderEpoch, NodeId, OwnerEpoch};
use zenoh::Wait as _;

use crate::support::{
    Agent, Session, ask, desired, eventually, free_port, functions_are_built, is_taken, keys, node,
    open, run_to_end, say, sky, task, task_spec, workflow,
};

const OWNER: Role = Role::Owner { owner_epoch: OwnerEpoch(1), successor: None };

#[test]
fn desired_state_survives_a_kill_and_the_same_again_is_adopted() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(dir.path(), "sat-1", &[], "");
    let controller = Session::controller(&[agent.port], &[]);
    let wanted = desired(&agent.name, 5, &[], &[]);
    assert_eq!(controller.tell(&wanted).verdict, Verdict::Accepted);
    let older = desired(&agent.name, 4, &[], &[]);
    let stale = Verdict::Stale { epoch: LeaderEpoch(1), generation: Generation(5) };
    assert_eq!(controller.tell(&older).verdict, stale);
    agent.kill();
    agent.restart();
    let status = controller.status(&agent.name);
    assert_eq!(status.verdict, Verdict::Reported);
    assert_eq!((status.facts.epoch, status.facts.generation), (LeaderEpoch(1), Generation(5)));
    assert_eq!(controller.tell(&wanted).verdict, Verdict::Adopted);
    assert_eq!(controller.tell(&older).verdict, stale);
    let other = desired(&node("sat-2"), 6, &[], &[]);
    let reply: protocol::desired::DesiredReply =
        controller.answer(&keys().desired(&agent.name), &encode(&other).unwrap());
    assert!(matches!(reply.verdict, Verdict::Denied { .. }), "{reply:?}");
}

#[test]
fn a_task_is_served_again_after_a_kill_without_any_link() {
    if !functions_are_built() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(dir.path(), "sat-1", &[], "");
    let wanted = desired(&agent.name, 1, &[task_spec("prepare-ds", OWNER, None)], &[]);
    let controller = Session::controller(&[agent.port], &["prepare-ds"]);
    assert_eq!(controller.tell(&wanted).verdict, Verdict::Accepted);
    await_phase(&controller, &agent.name, Phase::Active);
    agent.kill();
    agent.move_to_another_port();
    agent.restart();
    // The controller is out of reach, and this one has no module to give: all that is needed is on the disk.
    let observer = Session::controller(&[agent.port], &[]);
    await_phase(&observer, &agent.name, Phase::Active);
    assert_eq!(observer.tell(&wanted).verdict, Verdict::Adopted);
    let took_over = |kind: &EventKind| matches!(kind, EventKind::TookOver { .. });
    assert!(!observer.events_of(&agent.name).iter().any(took_over), "nothing is taken over again");
}

fn await_phase(session: &Session, node: &NodeId, phase: Phase) {
    eventually("the phase of the task", || {
        let status = session.status(node);
        status.tasks.iter().any(|task| task.phase == phase).then_some(())
    });
}

#[test]
fn garbage_is_counted_and_dropped_and_the_session_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path(), "sat-1", &[], "");
    let controller = Session::controller(&[agent.port], &[]);
    let boot = controller.event("started", |event| {
        matches!(event.kind, EventKind::Started(_)).then_some(event.header.boot)
    });
    let (keys, name) = (keys(), &agent.name);
    let belt = |service| keys.belt(name, service);
    let targets = [
        keys.desired(name),
        keys.command(name, 7),
        keys.events(name),
        keys.invoke(name, &workflow(), &task("ingest")),
        belt(BeltService::Offer),
        belt(BeltService::Chunk),
        belt(BeltService::Fetch),
        belt(BeltService::Inventory),
        keys.ping(name),
    ];
    let good = encode(&Ping { nonce: 1 }).unwrap();
    let newer_version = [&[99][..], &good[1..]].concat();
    let trailing = [&good[..], &[0]].concat();
    let huge_length = vec![1, 7, 0xff, 0xff, 0xff, 0xff, 0x0f];
    let frames = [vec![0], vec![1], newer_version, trailing, huge_length, vec![0xff; 100_000]];
    for target in &targets {
        for frame in &frames {
            assert_eq!(controller.ask(target, frame.clone()), None, "{target}");
        }
    }
    let sent = u64::try_from(targets.len() * frames.len()).unwrap();
    eventually("the count of dropped frames", || {
        let queue = controller.queue(name)?;
        (queue.frames_dropped == sent).then_some(())
    });
    let pong: Ping = controller.answer(&keys.ping(name), &good);
    assert_eq!(pong, Ping { nonce: 1 });
    let page: EventPage =
        controller.answer(&keys.events(name), &encode(&EventQuery { from_seq: 1 }).unwrap());
    assert_eq!(page.events[0].header.boot, boot, "the same start still answers");
}

#[test]
fn a_command_is_answered_once_and_again_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path(), "sat-1", &[], "");
    let controller = Session::controller(&[agent.port], &[]);
    let command = |id, epoch| Command {
        id,
        seq: id,
        epoch: LeaderEpoch(epoch),
        node: agent.name.clone(),
        deadline: Epoch::from_unix_ns(i64::MAX),
        verb: Verb::Nop,
    };
    let verdict = |command: &Command| {
        let key = keys().command(&agent.name, command.id);
        controller.answer::<CommandReply>(&key, &encode(command).unwrap()).verdict
    };
    assert_eq!(verdict(&command(1, 2)), CommandVerdict::Done);
    assert_eq!(verdict(&command(2, 1)), CommandVerdict::Stale { epoch: LeaderEpoch(2) });
    assert_eq!(verdict(&command(1, 1)), CommandVerdict::Done, "from memory");
}

#[test]
fn reports_of_all_groups_come_and_links_are_measured() {
    let dir = tempfile::tempdir().unwrap();
    let one = Agent::start(dir.path(), "sat-1", &[], "");
    let two = Agent::with_peers(dir.path(), "sat-2", &[one.port], &["sat-1", "nobody"], "");
    let controller = Session::controller(&[one.port], &[]);
    for group in GROUPS {
        eventually("a report", || {
            let reports = controller.reports();
            let is_it =
                |report: &&Report| report.header.node == two.name && report.body.group() == group;
            let found = reports.iter().find(is_it)?;
            assert!(found.header.seq != 0 && found.last_event_seq != 0);
            Some(())
        });
    }
    let sample_of = |peer: &str, measured: bool| {
        let peer = node(peer);
        eventually("a measurement", || {
            controller.reports().into_iter().find_map(|report| {
                let ReportBody::Link(links) = report.body else { return None };
                links.samples.into_iter().find(|s| s.peer == peer && s.rtt_us.is_some() == measured)
            })
        })
    };
    let rtt_us = sample_of("sat-1", true).rtt_us.unwrap();
    say(&format!("a round trip on loopback takes {rtt_us} us"));
    assert!(rtt_us < 1_000_000);
    sample_of("nobody", false);
}

const GROUPS: [Group; 6] =
    [Group::Power, Group::Thermal, Group::Compute, Group::Link, Group::Function, Group::Queue];

#[test]
fn the_emulation_and_the_fleet_relay_nothing_of_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let bridge_port = free_port();
    let bridge = open(Some(bridge_port), &[]);
    let fast = sky(30.0);
    bridge
        .declare_queryable(SimKeys::CLOCK)
        .callback(move |query| {
            let frame = encode(&SimClock { clock: fast }).unwrap();
            query.reply(SimKeys::CLOCK, frame).wait().ok();
        })
        .background()
        .wait()
        .unwrap();
    let sim = format!("[sim]\nconnect = \"tcp/127.0.0.1:{bridge_port}\"\n");
    let agent = Agent::start(dir.path(), "sat-1", &[], &(sim + VIRTUAL_HARDWARE));
    let controller = Session::controller(&[agent.port], &[]);
    let leaked_to_sim = count(&bridge, "starbelt/**");
    let leaked_to_fleet = count(&controller.zenoh, SimKeys::ALL);
    // Both networks are busy: environment comes in, reports go out, each a few times.
    let env =
        SimEnv { at: fast.sky_at, sunlit: 1.0, solar_w_m2: 1361.0, ambient_c: 5.0, track: None };
    let frame = encode(&env).unwrap();
    let lit = eventually("a sunlit battery", || {
        bridge.put(SimKeys::env(&agent.name), frame.clone()).wait().unwrap();
        bridge.put(SimKeys::CLOCK, encode(&SimClock { clock: fast }).unwrap()).wait().unwrap();
        controller.reports().into_iter().find(|report| {
            matches!(&report.body, ReportBody::Power(power) if power.solar_w.value() == Some(20.0))
        })
    });
    assert!(0.0 <= lit.header.at.seconds_since(fast.sky_at), "reports are in the time of the sky");
    let ping = encode(&Ping { nonce: 3 }).unwrap();
    assert_eq!(ask(&bridge, &keys().ping(&agent.name), ping.clone()), None);
    assert!(controller.ask(&keys().ping(&agent.name), ping).is_some());
    assert_eq!(ask(&controller.zenoh, SimKeys::CLOCK, Vec::new()), None);
    assert!(ask(&bridge, SimKeys::CLOCK, Vec::new()).is_some());
    let leaks = (leaked_to_sim.load(Ordering::Acquire), leaked_to_fleet.load(Ordering::Acquire));
    assert_eq!(leaks, (0, 0));
}

const VIRTUAL_HARDWARE: &str = "[battery]\nbackend = \"virtual\"\nsolar_w = 20\n\
                                [thermal]\nbackend = \"virtual\"\n";

fn count(session: &zenoh::Session, key: &'static str) -> Arc<AtomicUsize> {
    let counter = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&counter);
    let callback = move |_| {
        counted.fetch_add(1, Ordering::AcqRel);
    };
    session.declare_subscriber(key).callback(callback).background().wait().expect("a key");
    counter
}

#[test]
fn an_agent_ends_when_told_and_a_new_start_has_a_new_boot_id() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(dir.path(), "sat-1", &[], "");
    let controller = Session::controller(&[agent.port], &[]);
    let boot_other_than = |known: Option<BootId>| {
        controller.event("started", |event| {
            let is_new = Some(event.header.boot) != known;
            (is_new && matches!(event.kind, EventKind::Started(_))).then_some(event.header.boot)
        })
    };
    let first = boot_other_than(None);
    assert_eq!(agent.terminate().code(), Some(0));
    agent.restart();
    boot_other_than(Some(first));
}

#[test]
fn a_bad_configuration_is_told_and_nothing_starts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    let text = "version = 1\n[node]\nname = \"sat-1\"\nkind = \"edge\"\nfleet = \"f\"\n\
                [capacity]\nmilli_cpu = 1\nmemory_mib = 1\n\
                [bus]\ninsecure = true\nlisten = [\"tcp/0.0.0.0:7447\"]\n[store]\ndirr = \"state\"\n";
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    for arguments in [vec!["run", "--config", path], vec!["config", "check", "--config", path]] {
        let (code, said) = run_to_end(&arguments);
        assert_eq!(code, Some(78), "{said}");
        for part in
            ["agent.toml, line 11, bus.listen", "certificates", "line 13, store.dirr: unknown"]
        {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
    }
    assert!(!dir.path().join("state").exists());
    assert_eq!(run_to_end(&["run", "--config", "nowhere.toml"]).0, Some(78));
}

#[test]
fn a_port_that_is_taken_ends_the_agent_with_the_address() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp/{}", taken.local_addr().unwrap());
    let path = dir.path().join("agent.toml");
    let text = format!(
        "version = 1\n[node]\nname = \"sat-1\"\nkind = \"edge\"\nfleet = \"f\"\n\
         [capacity]\nmilli_cpu = 1\nmemory_mib = 1\n\
         [bus]\ninsecure = true\nlisten = [\"{address}\"]\n[store]\ndir = \"state\"\n"
    );
    std::fs::write(&path, text).unwrap();
    let (code, said) = run_to_end(&["run", "--config", path.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&address), "{said}");
}

#[test]
fn an_agent_with_links_has_few_threads() {
    let dir = tempfile::tempdir().unwrap();
    let one = Agent::start(dir.path(), "sat-1", &[], "");
    let two = Agent::start(dir.path(), "sat-2", &[one.port], "");
    let controller = Session::controller(&[one.port, two.port], &[]);
    assert!(is_taken(&controller.tell(&desired(&one.name, 1, &[], &[]))));
    // A few rounds of reports, so that all buffers and threads are there.
    eventually("ten reports", || {
        let of_one = |report: &&Report| report.header.node == one.name;
        (30 <= controller.reports().iter().filter(of_one).count()).then_some(())
    });
    let read = |file: &str, name: &str| {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", one.pid())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        line.split_whitespace().next().unwrap().parse::<u32>().unwrap()
    };
    let (pss_kib, threads) = (read("smaps_rollup", "Pss:"), read("status", "Threads:"));
    say(&format!("an agent with links has a PSS of {pss_kib} KiB and {threads} threads"));
    // Memory is held in `tests/watchdog.rs`: the program is not the one that is shipped, and others that run at the same time share its pages.
    assert!(threads <= 12, "{threads} threads");
}
