//! The TCP proxy over real loopback sockets: delay, rate, cut, black hole, faults.
//!
//! Tolerances are wide, since the machine may be busy; benches/link_delay.rs measures precisely.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use protocol::sim::FaultAction::{BlackHole, Close, Heal};
use sim_bridge::address::LoopbackAddr;
use sim_bridge::config::PairConfig;
use sim_bridge::shape::tcp_proxy::{BoundPorts, TcpProxy};
use sim_bridge::shape::{FaultError, LinkParams, LinkShaper, PairId};
use types::NodeId;

/// Longer than any wake of a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing must arrive to count as nothing.
const SILENCE: Duration = Duration::from_millis(150);

/// A proxy with pairs a~b, a~c, … and the listeners of the dialed ends.
struct Bed {
    proxy: TcpProxy,
    ports: Vec<SocketAddr>,
    ends: Vec<TcpListener>,
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("a valid name")
}

fn link(delay_ms: u64, rate_kbps: u32) -> LinkParams {
    LinkParams { delay: Duration::from_millis(delay_ms), rate_kbps }
}

fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("loopback works")
}

impl Bed {
    fn new(links: &[Option<LinkParams>]) -> Self {
        let (mut bound, mut ports, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for (_, name) in links.iter().zip(["b", "c", "d"]) {
            let (port, end) = (free_port(), free_port());
            ports.push(port.local_addr().expect("loopback works"));
            let forward = LoopbackAddr::new(end.local_addr().expect("loopback works"))
                .expect("loopback works");
            bound.push((PairId { a: node("a"), b: node(name) }, port, forward));
            ends.push(end);
        }
        let proxy = TcpProxy::start(BoundPorts::from_listeners(bound)).expect("loopback works");
        proxy.apply(links.to_vec());
        // A fault is answered when in force, and so is all that was told before it.
        proxy.fault(&node("a"), None, Heal).expect("loopback works");
        Self { proxy, ports, ends }
    }

    fn one(link: LinkParams) -> Self {
        Self::new(&[Some(link)])
    }

    /// A connection over the first pair: the dialing end, the dialed end.
    fn connect(&self) -> (TcpStream, TcpStream) {
        let near = self.dial();
        let (far, _) = self.ends[0].accept().expect("loopback works");
        (near, ready(far))
    }

    fn dial(&self) -> TcpStream {
        ready(TcpStream::connect(self.ports[0]).expect("loopback works"))
    }

    fn fault(&self, action: protocol::sim::FaultAction) {
        assert_eq!(self.proxy.fault(&node("b"), None, action), Ok(1));
    }
}

fn ready(stream: TcpStream) -> TcpStream {
    stream.set_nodelay(true).expect("loopback works");
    stream.set_read_timeout(Some(PATIENCE)).expect("loopback works");
    stream.set_write_timeout(Some(PATIENCE)).expect("loopback works");
    stream
}

#[track_caller]
fn assert_silent(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(SILENCE)).expect("loopback works");
    let error = stream.read(&mut [0; 16]).expect_err("nothing arrives");
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    stream.set_read_timeout(Some(PATIENCE)).expect("loopback works");
}

/// The stream has ended, gently or by a reset.
#[track_caller]
fn assert_closed(stream: &mut TcpStream) {
    match stream.read(&mut [0; 16]) {
        Ok(0) => {}
        Ok(bytes) => panic!("{bytes} bytes came out of a closed link"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
}

fn round_trip(near: &mut TcpStream, far: &mut TcpStream) -> Duration {
    let start = Instant::now();
    let mut byte = [7];
    near.write_all(&byte).expect("loopback works");
    far.read_exact(&mut byte).expect("loopback works");
    far.write_all(&byte).expect("loopback works");
    near.read_exact(&mut byte).expect("loopback works");
    start.elapsed()
}

/// Bytes that tell their place.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at.wrapping_mul(2_654_435_761) >> 11).to_le_bytes()[0]).collect()
}

#[test]
fn a_round_trip_takes_two_delays() {
    for delay_ms in [5, 20, 100] {
        let bed = Bed::one(link(delay_ms, 500_000));
        let (mut near, mut far) = bed.connect();
        round_trip(&mut near, &mut far);
        let trips: Vec<Duration> = (0..7).map(|_| round_trip(&mut near, &mut far)).collect();
        let expected = Duration::from_millis(2 * delay_ms);
        let shortest = trips.iter().min().unwrap();
        assert!(expected <= *shortest, "{trips:?} are shorter than {expected:?}");
        assert!(*shortest < expected + Duration::from_millis(10), "{trips:?}");
    }
}

#[test]
fn a_connection_costs_a_round_trip_before_its_first_byte() {
    let bed = Bed::one(link(50, 500_000));
    let start = Instant::now();
    let (mut near, mut far) = bed.connect();
    near.write_all(&[1]).unwrap();
    far.read_exact(&mut [0]).unwrap();
    assert!(Duration::from_millis(150) <= start.elapsed(), "{:?}", start.elapsed());
}

#[test]
fn nodes_of_one_place_have_no_delay() {
    let bed = Bed::one(link(0, u32::MAX));
    let (mut near, mut far) = bed.connect();
    let shortest = (0..20).map(|_| round_trip(&mut near, &mut far)).min().unwrap();
    assert!(shortest < Duration::from_millis(5), "{shortest:?}");
}

#[test]
fn a_stream_gets_the_rate_of_the_link() {
    // 1 MB at 16 Mbit/s: half a second.
    let bed = Bed::one(link(10, 16_000));
    let (mut near, mut far) = bed.connect();
    let sent = pattern(1_000_000);
    let start = Instant::now();
    let writer = thread::spawn(move || near.write_all(&sent).map(|()| near));
    let mut got = vec![0; 1_000_000];
    far.read_exact(&mut got).unwrap();
    let took = start.elapsed();
    assert!(Duration::from_millis(500) <= took, "{took:?}");
    assert!(took < Duration::from_millis(800), "{took:?}");
    assert_eq!(got, pattern(1_000_000));
    writer.join().unwrap().unwrap();
}

#[test]
fn a_lost_path_closes_both_ends_and_refuses_until_it_is_back() {
    let bed = Bed::one(link(5, 500_000));
    let (mut near, mut far) = bed.connect();
    round_trip(&mut near, &mut far);
    bed.proxy.apply(vec![None]);
    assert_closed(&mut near);
    assert_closed(&mut far);
    assert_closed(&mut bed.dial());
    bed.proxy.apply(vec![Some(link(5, 500_000))]);
    bed.fault(Heal);
    let (mut near, mut far) = bed.connect();
    round_trip(&mut near, &mut far);
    let counts = bed.proxy.counts()[0];
    assert_eq!((counts.ups, counts.downs, counts.connections, counts.refused), (2, 1, 2, 1));
}

#[test]
fn bytes_on_the_way_are_gone_when_the_link_closes() {
    let bed = Bed::one(link(2_000, 500_000));
    let (mut near, mut far) = bed.connect();
    near.write_all(&[1; 100]).unwrap();
    far.write_all(&[2; 50]).unwrap();
    // Long enough for the proxy to read both, too short for anything to arrive.
    assert_silent(&mut far);
    bed.fault(Close);
    assert_closed(&mut far);
    assert_closed(&mut near);
    assert_eq!(bed.proxy.counts()[0].dropped_bytes, 150);
}

#[test]
fn a_black_hole_tells_nobody_and_loses_nothing() {
    let bed = Bed::one(link(10, 500_000));
    let (mut near, mut far) = bed.connect();
    round_trip(&mut near, &mut far);
    bed.fault(BlackHole);
    let sent = pattern(300_000);
    let (first, second) = sent.split_at(200_000);
    near.write_all(first).unwrap();
    far.write_all(second).unwrap();
    assert_silent(&mut far);
    assert_silent(&mut near);
    bed.fault(Heal);
    let (mut there, mut back) = (vec![0; first.len()], vec![0; second.len()]);
    far.read_exact(&mut there).unwrap();
    near.read_exact(&mut back).unwrap();
    assert!(there == first && back == second);
}

#[test]
fn a_black_hole_hides_the_end_of_a_stream_and_a_lost_path() {
    let bed = Bed::one(link(10, 500_000));
    let (near, mut far) = bed.connect();
    bed.fault(BlackHole);
    bed.proxy.apply(vec![None]);
    drop(near);
    assert_silent(&mut far);
    bed.fault(Heal);
    assert_closed(&mut far);
}

#[test]
fn who_dials_into_a_black_hole_waits_and_is_served_when_it_heals() {
    let bed = Bed::one(link(5, 500_000));
    bed.fault(BlackHole);
    drop(bed.dial());
    let mut near = bed.dial();
    near.write_all(&[9]).unwrap();
    assert_silent(&mut near);
    bed.fault(Heal);
    // The one that gave up is not served.
    let (far, _) = bed.ends[0].accept().unwrap();
    let mut far = ready(far);
    let mut byte = [0];
    far.read_exact(&mut byte).unwrap();
    assert_eq!(byte, [9]);
    assert_eq!(bed.proxy.counts()[0].connections, 1);
}

#[test]
fn a_half_closed_stream_still_carries_the_answer() {
    let bed = Bed::one(link(5, 500_000));
    let (mut near, mut far) = bed.connect();
    near.write_all(b"question").unwrap();
    near.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    far.read_to_string(&mut text).unwrap();
    assert_eq!(text, "question");
    far.write_all(b"answer").unwrap();
    drop(far);
    text.clear();
    near.read_to_string(&mut text).unwrap();
    assert_eq!(text, "answer");
}

#[test]
fn a_reader_that_stops_stops_the_writer() {
    let bed = Bed::one(link(1, u32::MAX));
    let (mut near, mut far) = bed.connect();
    near.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let (block, mut sent) = (pattern(1 << 20), 0);
    // The proxy's window, and what the kernel buffers at four sockets.
    let bound = 64 << 20;
    loop {
        match near.write(&block[sent % block.len()..]) {
            Ok(bytes) => sent += bytes,
            Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        assert!(sent < bound, "{sent} bytes were taken and nobody reads");
    }
    drop(near);
    let (mut got, mut place) = (vec![0; 1 << 16], 0);
    loop {
        let bytes = far.read(&mut got).unwrap();
        if bytes == 0 {
            break;
        }
        for byte in &got[..bytes] {
            assert_eq!(*byte, block[place % block.len()], "at {place}");
            place += 1;
        }
    }
    assert_eq!(place, sent);
}

#[test]
fn a_stream_survives_a_sky_that_changes_all_the_time() {
    let bed = Bed::one(link(5, 200_000));
    let (mut near, mut far) = bed.connect();
    let sent = pattern(6_000_000);
    let writer = {
        let (sent, mut end) = (sent.clone(), near.try_clone().unwrap());
        thread::spawn(move || end.write_all(&sent))
    };
    let echo = thread::spawn(move || {
        let mut back = far.try_clone().unwrap();
        std::io::copy(&mut far, &mut back)
    });
    let reader = thread::spawn(move || {
        let mut got = vec![0; 6_000_000];
        near.read_exact(&mut got).map(|()| (got, near))
    });
    let mut turn = 0_u64;
    while !reader.is_finished() {
        turn += 1;
        bed.proxy.apply(vec![Some(link(
            turn * 7 % 40,
            100_000 + 1_000 * u32::try_from(turn % 97).unwrap(),
        ))]);
        bed.fault(if turn.is_multiple_of(5) { BlackHole } else { Heal });
        thread::park_timeout(Duration::from_millis(2));
        bed.fault(Heal);
    }
    let (got, near) = reader.join().unwrap().unwrap();
    assert!(got == sent, "the stream was changed");
    writer.join().unwrap().unwrap();
    drop(near);
    echo.join().unwrap().unwrap();
}

#[test]
fn a_dialed_end_that_is_not_there_closes_the_connection() {
    let mut bed = Bed::one(link(5, 500_000));
    bed.ends.clear();
    assert_closed(&mut bed.dial());
    assert_eq!(bed.proxy.counts()[0].refused, 1);
}

#[test]
fn a_peer_that_never_closes_does_not_use_up_the_pair() {
    let bed = Bed::one(link(0, 500_000));
    let mut kept: Vec<_> = (0..20).map(|_| bed.connect()).collect();
    let (near, far) = kept.last_mut().unwrap();
    round_trip(near, far);
    assert_closed(&mut kept[0].1);
}

#[test]
fn leftovers_go_before_the_session_that_lives() {
    let bed = Bed::one(link(0, 500_000));
    let (mut near, mut far) = bed.connect();
    let mut leftovers: Vec<_> = (0..7).map(|_| bed.connect()).collect();
    round_trip(&mut near, &mut far);
    leftovers[3].0.shutdown(Shutdown::Write).unwrap();
    assert_closed(&mut leftovers[3].1);
    // First the one whose end hung up, then those idle longest; never the oldest, which is in use.
    leftovers.push(bed.connect());
    assert_closed(&mut leftovers[3].0);
    for idle in [0, 1, 2, 4] {
        leftovers.push(bed.connect());
        assert_closed(&mut leftovers[idle].1);
        round_trip(&mut near, &mut far);
    }
    assert_silent(&mut leftovers[5].1);
}

#[test]
fn a_black_hole_full_of_dialers_keeps_the_session() {
    let bed = Bed::one(link(0, 500_000));
    let (mut near, mut far) = bed.connect();
    round_trip(&mut near, &mut far);
    bed.fault(BlackHole);
    let mut dialers: Vec<TcpStream> = (0..20).map(|_| bed.dial()).collect();
    assert_closed(&mut dialers[0]);
    assert_silent(&mut near);
    bed.fault(Heal);
    round_trip(&mut near, &mut far);
    // Where all are sessions, a newcomer is refused.
    let full = Bed::one(link(0, 500_000));
    let mut sessions: Vec<_> = (0..8).map(|_| full.connect()).collect();
    full.fault(BlackHole);
    assert_closed(&mut full.dial());
    full.fault(Heal);
    sessions.iter_mut().for_each(|(near, far)| assert!(round_trip(near, far) < PATIENCE));
}

#[test]
fn a_transfer_that_nobody_reads_does_not_stop_its_neighbour() {
    let bed = Bed::one(link(1, u32::MAX));
    let (mut bulk, _unread) = bed.connect();
    bulk.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let block = pattern(1 << 20);
    while bulk.write(&block).is_ok() {}
    let (mut near, mut far) = bed.connect();
    let sent = pattern(1 << 20);
    let writer = thread::spawn({
        let sent = sent.clone();
        move || near.write_all(&sent).map(|()| near)
    });
    let mut got = vec![0; sent.len()];
    far.read_exact(&mut got).unwrap();
    assert!(got == sent, "the stream was changed");
    writer.join().unwrap().unwrap();
}

#[test]
fn a_fault_meets_all_pairs_of_a_node_or_one() {
    let up = Some(link(1, 500_000));
    let bed = Bed::new(&[up, up, up]);
    assert_eq!(bed.proxy.fault(&node("a"), None, Close), Ok(3));
    assert_eq!(bed.proxy.fault(&node("b"), Some(&node("a")), BlackHole), Ok(1));
    // What was not injected for all pairs of b, or for a~b, is not healed with them.
    assert_eq!(bed.proxy.fault(&node("b"), None, Heal), Ok(1));
    assert_eq!(bed.proxy.fault(&node("a"), Some(&node("b")), Heal), Ok(1));
    assert_closed(&mut bed.dial());
    assert_eq!(bed.proxy.fault(&node("a"), None, Heal), Ok(3));
    let (mut near, mut far) = bed.connect();
    round_trip(&mut near, &mut far);
    let unknown = bed.proxy.fault(&node("x"), None, Close);
    assert_eq!(unknown, Err(FaultError::Node(node("x"))));
    let no_pair = bed.proxy.fault(&node("b"), Some(&node("c")), Close);
    assert_eq!(no_pair, Err(FaultError::Pair(PairId::of(&node("c"), &node("b")))));
}

#[test]
fn every_taken_port_is_named_with_its_use() {
    let taken = [free_port(), free_port()];
    let pairs = taken.each_ref().map(|port| PairConfig {
        a: node("a"),
        b: node("b"),
        listen: LoopbackAddr::new(port.local_addr().unwrap()).unwrap(),
        forward: LoopbackAddr::new("127.0.0.1:9".parse().unwrap()).unwrap(),
    });
    let message = BoundPorts::open(&pairs).unwrap_err().to_string();
    for port in &taken {
        let name = format!("port {} for the link a~b", port.local_addr().unwrap());
        assert!(message.contains(&name), "{message}");
    }
}
