//! The emulation session carries `_sim/**` from the bridge and nothing else, and nothing passes between
//! it and the session of a fleet, even within one process that holds both.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use protocol::key::SimKeys;
use protocol::sim::{FaultAction, SimClock, SimEnv, SimFault, SimFaultReply};
use protocol::{decode, encode};
use sim_bridge::address::{BusAddr, LoopbackAddr};
use sim_bridge::publish::{Request, SimBus};
use types::{Epoch, NodeId, SkyClock, WallTime};
use zenoh::handlers::FifoChannelHandler;
use zenoh::pubsub::Subscriber;
use zenoh::query::Query;
use zenoh::sample::Sample;
use zenoh::{Config, Session, Wait};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

type Hearing = Subscriber<FifoChannelHandler<Sample>>;

fn node() -> NodeId {
    NodeId::new("sat-1").expect("a valid name")
}

fn clock() -> SimClock {
    let start = Epoch::parse("2026-01-01T00:00:00Z").expect("a valid time");
    SimClock { clock: SkyClock::new(start, WallTime(0), 30.0).expect("a valid rate") }
}

fn free_addr() -> BusAddr {
    let port = TcpListener::bind("127.0.0.1:0").expect("loopback works");
    BusAddr::new(LoopbackAddr::new(port.local_addr().expect("it is bound")).expect("it has a port"))
}

async fn session(mode: &str, place: &str, addr: BusAddr) -> Session {
    let config = format!(
        "{{ mode: \"{mode}\", {place}: {{ endpoints: [\"{addr}\"] }},
            scouting: {{ multicast: {{ enabled: false }}, gossip: {{ enabled: false }} }} }}"
    );
    let config = Config::from_json5(&config).expect("valid settings");
    zenoh::open(config).await.expect("the session opens")
}

async fn client(addr: BusAddr) -> Session {
    session("client", "connect", addr).await
}

async fn hear(session: &Session, key: &str) -> Hearing {
    session.declare_subscriber(key).await.expect("the subscriber is declared")
}

/// Serves the bus as the bridge does, telling clock and environment again and again.
async fn serve(bus: SimBus) {
    let mut tell = tokio::time::interval(Duration::from_millis(20));
    let start = clock().clock.sky_at;
    let env = SimEnv { at: start, sunlit: 1.0, solar_w_m2: 1361.0, ambient_c: -31.0, track: None };
    loop {
        tokio::select! {
            request = bus.next() => match request.expect("the bus lives") {
                Request::Clock(question) => {
                    question.answer_clock(&clock()).await.expect("it is sent");
                }
                Request::Fault(question, fault) => {
                    let pairs = u32::from(fault.action == FaultAction::Close);
                    let reply = SimFaultReply::Done { pairs };
                    question.answer_fault(&reply).await.expect("it is sent");
                }
            },
            _ = tell.tick() => {
                bus.put_clock(&clock()).await.expect("it is sent");
                bus.put_env(&node(), &env).await.expect("it is sent");
            }
        }
    }
}

async fn bus() -> BusAddr {
    let addr = free_addr();
    let bus = SimBus::open(addr, None, [node()].iter()).await.expect("the bus opens");
    tokio::spawn(serve(bus));
    addr
}

/// A plain router that forwards everything and tells the same clock: shows that the tests would notice.
async fn plain_router() -> BusAddr {
    let addr = free_addr();
    let router = session("router", "listen", addr).await;
    tokio::spawn(async move {
        let queries = router.declare_queryable(SimKeys::CLOCK).await.expect("it is declared");
        let mut tell = tokio::time::interval(Duration::from_millis(20));
        loop {
            let frame = encode(&clock()).expect("it is valid");
            tokio::select! {
                query = queries.recv_async() => {
                    let query = query.expect("the router lives");
                    query.reply(SimKeys::CLOCK, frame).await.expect("it is sent");
                }
                _ = tell.tick() => router.put(SimKeys::CLOCK, frame).await.expect("it is sent"),
            }
        }
    });
    addr
}

async fn ask_clock(session: &Session) -> SimClock {
    let answers = session.get(SimKeys::CLOCK).timeout(PATIENCE).await.expect("it is asked");
    let answer = answers.recv_async().await.expect("there is an answer");
    let sample = answer.into_result().expect("it is no error");
    decode(&sample.payload().to_bytes()).expect("it is a clock")
}

/// What `hearing` gets before `fence`, a sample of the bridge that follows the moment.
async fn heard_before(hearing: &Hearing, fence: &Hearing) -> Vec<String> {
    while fence.try_recv().is_ok_and(|sample| sample.is_some()) {}
    for _ in 0..2 {
        let next = tokio::time::timeout(PATIENCE, fence.recv_async()).await;
        next.expect("the bridge goes on").expect("the session lives");
    }
    let mut heard = Vec::new();
    while let Ok(Some(sample)) = hearing.try_recv() {
        heard.push(format!("{} {}", sample.key_expr(), sample.payload().len()));
    }
    heard
}

/// What a rogue client gets through to another client of the bus at `addr`, for this key.
async fn smuggled(addr: BusAddr, key: &str) -> Vec<String> {
    let (victim, rogue) = (client(addr).await, client(addr).await);
    let (hearing, fence) = (hear(&victim, key).await, hear(&victim, SimKeys::CLOCK).await);
    heard_before(&hearing, &fence).await;
    rogue.put(key, vec![7; 5]).await.expect("the rogue sends");
    rogue.delete(key).await.expect("the rogue sends");
    // Asked on the same link after the put, so the put has been dealt with.
    ask_clock(&rogue).await;
    let heard = heard_before(&hearing, &fence).await;
    let clock_bytes = encode(&clock()).expect("it is valid").len();
    heard.into_iter().filter(|text| *text != format!("{} {clock_bytes}", SimKeys::CLOCK)).collect()
}

const FLEET_KEY: &str = "starbelt/demo/sat-1/tlm/power";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_hear_the_clock_and_their_environment() {
    let agent = client(bus().await).await;
    assert_eq!(ask_clock(&agent).await, clock());
    let hearing = hear(&agent, SimKeys::ALL).await;
    let (mut clock_heard, mut env_heard) = (false, false);
    while !(clock_heard && env_heard) {
        let next = tokio::time::timeout(PATIENCE, hearing.recv_async()).await;
        let sample = next.expect("the bridge goes on").unwrap();
        let bytes = sample.payload().to_bytes();
        if sample.key_expr().as_str() == SimKeys::CLOCK {
            clock_heard |= decode::<SimClock>(&bytes).is_ok();
        } else {
            assert_eq!(sample.key_expr().as_str(), SimKeys::env(&node()));
            env_heard |= decode::<SimEnv>(&bytes).is_ok();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_is_answered_and_a_broken_one_is_refused() {
    let demo = client(bus().await).await;
    let fault = SimFault { node: node(), peer: None, action: FaultAction::Close };
    for (payload, good) in [(encode(&fault).unwrap(), true), (vec![1, 2, 3], false)] {
        let answers = demo.get(SimKeys::FAULT).payload(payload).timeout(PATIENCE).await.unwrap();
        let answer = answers.recv_async().await.unwrap();
        match answer.into_result() {
            Ok(sample) => {
                let reply = decode(&sample.payload().to_bytes());
                assert!(good && reply == Ok(SimFaultReply::Done { pairs: 1 }), "{reply:?}");
            }
            Err(error) => {
                let reason = String::from_utf8_lossy(&error.payload().to_bytes()).into_owned();
                assert!(!good && reason.contains("schema 2 found"), "{reason}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_that_do_not_decode_are_counted() {
    let addr = free_addr();
    let bus = SimBus::open(addr, None, [node()].iter()).await.unwrap();
    let demo = client(addr).await;
    let ask = async {
        for _ in 0..3 {
            let answers = demo.get(SimKeys::FAULT).payload(vec![0xff; 9]).timeout(PATIENCE).await;
            assert!(answers.unwrap().recv_async().await.unwrap().into_result().is_err());
        }
    };
    tokio::select! {
        () = ask => assert_eq!(bus.undecoded(), 3),
        request = bus.next() => panic!("{request:?} was no fault"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_client_reaches_another_through_the_bus() {
    let addr = bus().await;
    for key in [FLEET_KEY, "_sim/env/sat-1/forged", SimKeys::CLOCK, "_sim/anything"] {
        assert_eq!(smuggled(addr, key).await, [] as [String; 0], "{key}");
    }
    // The same rogue gets through a router without the guard.
    let open = plain_router().await;
    for key in [FLEET_KEY, "_sim/anything"] {
        assert_eq!(smuggled(open, key).await, [format!("{key} 5"), format!("{key} 0")], "{key}");
    }
}

/// Whether a rogue client can answer another client's query of this key.
async fn lied(addr: BusAddr, key: &str) -> bool {
    let (agent, rogue) = (client(addr).await, client(addr).await);
    let lie = |query: Query| {
        // Whether it gets through is what the caller finds out.
        drop(query.reply(query.key_expr().clone(), "lie").wait());
    };
    let _lies = rogue.declare_queryable(key).callback(lie).await.expect("it is declared");
    // An answer on the same link, after the declaration.
    let fence = if key == SimKeys::CLOCK { SimKeys::FAULT } else { SimKeys::CLOCK };
    let fence = rogue.get(fence).timeout(PATIENCE).await.expect("it is asked");
    fence.recv_async().await.expect("there is an answer");
    let answers = agent.get(key).timeout(Duration::from_secs(2)).await.expect("it is asked");
    while let Ok(answer) = answers.recv_async().await {
        let lie = |sample: Sample| sample.payload().to_bytes().as_ref() == b"lie";
        if answer.into_result().is_ok_and(lie) {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_answers_in_place_of_the_bridge() {
    let addr = bus().await;
    for key in [SimKeys::CLOCK, FLEET_KEY, "_sim/other"] {
        assert!(!lied(addr, key).await, "{key}");
    }
    // The same rogue gets through a router without the guard.
    assert!(lied(plain_router().await, FLEET_KEY).await);
}

/// Sends until it is heard, since a subscription takes a moment to be known.
async fn send(from: &Session, key: &str, hearing: &Hearing) {
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < PATIENCE, "{key} is not heard");
        from.put(key, "fleet").await.expect("it is sent");
        let heard = tokio::time::timeout(Duration::from_millis(50), hearing.recv_async()).await;
        if heard.is_ok_and(|sample| sample.expect("the session lives").key_expr().as_str() == key) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_with_both_sessions_relays_nothing_between_them() {
    let (sim_addr, fleet_addr) = (bus().await, free_addr());
    // An agent: a router in its fleet, a client of the bridge.
    let fleet = session("router", "listen", fleet_addr).await;
    let sim = client(sim_addr).await;
    // Its neighbours on both sides.
    let (fleet_peer, sim_peer) = (client(fleet_addr).await, client(sim_addr).await);
    let on_fleet = hear(&fleet_peer, "_sim/**").await;
    let fleet_reports = hear(&fleet_peer, "starbelt/**").await;
    let own_reports = hear(&fleet, FLEET_KEY).await;
    let on_sim = hear(&sim_peer, "starbelt/**").await;
    let sim_fence = hear(&sim_peer, SimKeys::CLOCK).await;
    let agent_fence = hear(&sim, SimKeys::CLOCK).await;
    // Both buses work, and the agent hears both.
    send(&fleet_peer, FLEET_KEY, &own_reports).await;
    send(&fleet, "starbelt/demo/sat-1/evt", &fleet_reports).await;
    assert_eq!(heard_before(&on_sim, &sim_fence).await, [] as [String; 0]);
    assert_eq!(heard_before(&on_fleet, &agent_fence).await, [] as [String; 0]);
}
