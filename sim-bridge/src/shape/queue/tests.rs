//! Order, delay, rate and bound of the link queue.

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;

fn link(delay_ms: u64, rate_kbps: u32) -> LinkParams {
    LinkParams { delay: Duration::from_millis(delay_ms), rate_kbps }
}

fn idle<T>() -> (Queue<T>, Transmitter, Total) {
    (Queue::new(Instant(0)), Transmitter::default(), Total::default())
}

/// Pushes (ms, bytes, link) and compares the releases in ms.
#[track_caller]
fn check(loads: &[(u64, usize, LinkParams)], releases_ms: &[u64]) {
    let (mut queue, mut sender, mut total) = idle();
    let releases: Vec<u64> = loads
        .iter()
        .map(|(at, bytes, link)| {
            queue.push(Instant(at * MS), (*bytes, ()), link, &mut sender, &mut total).0
        })
        .collect();
    assert_eq!(releases, releases_ms.iter().map(|ms| ms * MS).collect::<Vec<_>>());
}

#[test]
fn an_idle_link_costs_serialisation_and_delay() {
    // 1000 bytes at 8000 kbit/s take 1 ms.
    check(&[(0, 1000, link(20, 8_000)), (100, 1000, link(20, 8_000))], &[21, 121]);
}

#[test]
fn bytes_wait_for_the_transmitter() {
    check(&[(0, 5000, link(20, 8_000)), (1, 1000, link(20, 8_000))], &[25, 26]);
}

#[test]
fn a_shrinking_delay_does_not_reorder() {
    check(&[(0, 1000, link(50, 8_000)), (2, 1000, link(5, 8_000))], &[51, 51]);
}

#[test]
fn a_growing_delay_leaves_what_is_on_the_way_alone() {
    check(&[(0, 1000, link(5, 8_000)), (2, 1000, link(50, 8_000))], &[6, 53]);
}

#[test]
fn nothing_leaves_before_the_handshake_is_over() {
    let (_, mut sender, mut total) = idle::<()>();
    let mut queue = Queue::new(Instant(40 * MS));
    let release = queue.push(Instant(0), (1000, ()), &link(20, 8_000), &mut sender, &mut total);
    assert_eq!(release, Instant(60 * MS));
}

#[test]
fn connections_of_a_pair_share_its_rate() {
    let (mut first, mut second) = (Queue::new(Instant(0)), Queue::new(Instant(0)));
    let (mut sender, mut total, link) = (Transmitter::default(), Total::default(), link(0, 8_000));
    first.push(Instant(0), (3000, ()), &link, &mut sender, &mut total);
    assert_eq!(
        second.push(Instant(0), (1000, ()), &link, &mut sender, &mut total),
        Instant(4 * MS)
    );
}

#[test]
fn a_full_queue_stops_the_reader_until_something_is_delivered() {
    let (mut queue, mut sender, mut total) = idle();
    let fast = link(1_000, u32::MAX);
    while let Allowance::Read(bytes) = queue.allowance(Instant(10_000 * MS), &fast, &sender, &total)
    {
        queue.push(Instant(10_000 * MS), (bytes, ()), &fast, &mut sender, &mut total);
    }
    assert!(
        sender.held() <= QUEUE_BYTES_MAX && QUEUE_BYTES_MAX < sender.held() + 2 * READ_BYTES_MIN
    );
    assert_eq!(sender.held(), total.held());
    assert_eq!(queue.allowance(Instant(10_500 * MS), &fast, &sender, &total), Allowance::Full);
    assert_eq!(queue.due(Instant(10_999 * MS)), None);
    assert!(queue.due(Instant(11_001 * MS)).is_some());
    queue.pop(&mut sender, &mut total);
    let freed = queue.allowance(Instant(11_001 * MS), &fast, &sender, &total);
    assert!(matches!(freed, Allowance::Read(_)), "{freed:?}");
}

/// Pushes loads of `bytes` until none is allowed.
fn fill(queue: &mut Queue<()>, bytes: usize, sender: &mut Transmitter, total: &mut Total) {
    let (at, fast) = (Instant(10_000 * MS), link(1_000, u32::MAX));
    while let Allowance::Read(allowed) = queue.allowance(at, &fast, sender, total) {
        queue.push(at, (allowed.min(bytes), ()), &fast, sender, total);
    }
}

#[test]
fn the_connections_of_a_direction_share_its_bound_and_each_keeps_a_share() {
    let (mut bulk, mut sender, mut total) = idle();
    fill(&mut bulk, READ_BYTES_MAX, &mut sender, &mut total);
    let mut late: Vec<Queue<()>> = (0..7).map(|_| Queue::new(Instant(0))).collect();
    for queue in &mut late {
        fill(queue, READ_BYTES_MAX, &mut sender, &mut total);
        assert!(SHARE_BYTES / 2 < queue.bytes() && queue.bytes() <= SHARE_BYTES);
    }
    assert!(sender.held() <= QUEUE_BYTES_MAX + 7 * SHARE_BYTES);
    let bytes: usize = late.iter().map(Queue::bytes).sum::<usize>() + bulk.bytes();
    let dropped: usize = late.iter_mut().map(|q| q.clear(&mut sender, &mut total)).sum();
    assert_eq!(dropped + bulk.clear(&mut sender, &mut total), bytes);
    assert_eq!((sender.held(), total.held()), (0, 0));
}

#[test]
fn all_pairs_together_are_bounded_and_none_is_stopped_by_others() {
    let mut total = Total::default();
    let full: Vec<_> = (0..40)
        .map(|_| {
            let (mut queue, mut sender, _) = idle();
            fill(&mut queue, READ_BYTES_MAX, &mut sender, &mut total);
            queue
        })
        .collect();
    assert!(total.held() <= TOTAL_BYTES_MAX + 40 * SHARE_BYTES);
    assert!(0 < full[39].bytes());
}

#[test]
fn a_sender_that_writes_byte_by_byte_pays_for_each_load() {
    let (mut queue, mut sender, mut total) = idle();
    fill(&mut queue, 1, &mut sender, &mut total);
    assert!(queue.bytes() < QUEUE_BYTES_MAX / LOAD_OVERHEAD_BYTES);
}

#[test]
fn a_link_without_rate_still_ends() {
    let slow = link(0, 0);
    assert_eq!(slow.serialisation(1), Duration::from_millis(8));
}

proptest! {
    #[test]
    fn order_delay_and_rate_hold(
        loads in prop::collection::vec(
            (0_u64..20_000_000, 1_usize..100_000, 0_u64..200, 100_u32..1_000_000), 1..60
        )
    ) {
        let (mut queue, mut sender, mut total) = idle();
        let (mut now, mut last, mut busy) = (Instant(0), Instant(0), Instant(0));
        for (number, (gap_ns, bytes, delay_ms, rate_kbps)) in loads.iter().enumerate() {
            now = now.plus(Duration::from_nanos(*gap_ns));
            let link = link(*delay_ms, *rate_kbps);
            let release = queue.push(now, (*bytes, number), &link, &mut sender, &mut total);
            busy = busy.max(now).plus(link.serialisation(*bytes));
            // Exactly delay and serialisation, unless those ahead are later.
            prop_assert_eq!(release, busy.plus(link.delay).max(last));
            last = release;
        }
        // First in, first out, and nothing before its time.
        let mut expected = 0;
        while let Some(release) = queue.next_release() {
            prop_assert_eq!(queue.due(Instant(release.0 - 1)), None);
            prop_assert_eq!(queue.due(release), Some(&expected));
            queue.pop(&mut sender, &mut total);
            expected += 1;
        }
        prop_assert_eq!((expected, queue.bytes()), (loads.len(), 0));
    }

    #[test]
    fn a_reader_that_obeys_gets_the_rate_and_no_more(
        rate_kbps in 500_u32..500_000, delay_ms in 0_u64..100, late_us in 0_u64..900
    ) {
        let (mut queue, mut sender, mut total) = idle();
        let link = link(delay_ms, rate_kbps);
        let (mut now, mut sent) = (Instant(0), 0_usize);
        let end = Instant(500 * MS);
        while now < end {
            while queue.due(now).is_some() { queue.pop(&mut sender, &mut total); }
            match queue.allowance(now, &link, &sender, &total) {
                Allowance::Read(bytes) => {
                    queue.push(now, (bytes, ()), &link, &mut sender, &mut total);
                    sent += bytes;
                }
                // The timer is late by less than the horizon.
                Allowance::At(at) => now = at.plus(Duration::from_micros(late_us)),
                Allowance::Full => now = queue.next_release().expect("a full queue holds loads"),
            }
        }
        let ideal = f64::from(rate_kbps) / 8.0 * 500.0;
        let sent = f64::from(u32::try_from(sent).unwrap());
        let slack = 2.0 * f64::from(u32::try_from(READ_BYTES_MAX).unwrap().max(rate_kbps / 8));
        prop_assert!(ideal - slack <= sent && sent <= ideal + slack, "{sent} of {ideal}");
    }
}
