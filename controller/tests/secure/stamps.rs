//! Stamps of Zenoh's clock that lie in the future. Nothing of ours orders by them; whoever does is not misled.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zenoh::time::{NTP64, Timestamp, TimestampId};

use crate::support::{Fleet, client};

/// What Zenoh lets the clock of a neighbour be ahead.
const AHEAD: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn a_stamp_from_the_future_is_replaced_and_wins_nothing() {
    let fleet = Fleet::new();
    let (router, _, address) = fleet.router(64).await;
    let heard = router.declare_subscriber("starbelt/f/*/tlm/*").await.expect("a subscriber");
    let rogue = client(&fleet.identity("rogue").paths, &address).await.expect("let in");
    let honest = client(&fleet.identity("n1").paths, &address).await.expect("let in");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    let id = TimestampId::rand();
    let mut stamps = Vec::new();
    for ahead_s in [3600, 365 * 86_400] {
        let future = Timestamp::new(NTP64::from(now() + Duration::from_secs(ahead_s)), id);
        let put = rogue.put("starbelt/f/rogue/tlm/power", "early").timestamp(future);
        put.await.expect("sent");
        let sample = heard.recv_async().await.expect("it comes");
        let stamp = *sample.timestamp().expect("the router stamps");
        assert_ne!(stamp, future);
        assert!(stamp.get_time().to_duration() <= now() + AHEAD, "{stamp} is still ahead");
        stamps.push(stamp);
    }
    // What comes later is later, also by the stamp.
    honest.put("starbelt/f/n1/tlm/power", "late").await.expect("sent");
    let sample = heard.recv_async().await.expect("it comes");
    stamps.push(*sample.timestamp().expect("the router stamps"));
    assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
}
