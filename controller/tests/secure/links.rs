//! Links: handshakes that must fail, certificates that end, members that are revoked.

use std::time::Duration;

use protocol::join::Members;
use secure::identity::Identity;

use crate::support::{Fleet, LONG_S, client, has_link, name, plain, set, until, within};

/// What the threat model grants from a revocation, or from the end of a certificate, to the end of the link.
const CUT: Duration = Duration::from_secs(2);

fn revoked(fleet: &Fleet, who: &Identity) -> Members {
    Members {
        serial: fleet.members.serial + 1,
        revoked: vec![who.facts.name.clone()],
        keys: vec![who.facts.key],
        ..fleet.members.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_certificate_that_counts_is_refused_at_the_handshake() {
    let fleet = Fleet::new();
    let (_router, gate, address) = fleet.router(64).await;
    // The same attempt with what counts succeeds.
    let good = client(&fleet.identity("n1").paths, &address).await.expect("a member is let in");
    until("the link of n1", || async { has_link(&gate, "n1") }).await;

    let mut none = plain("client", None, Some(&address));
    let ca = format!("{:?}", fleet.dir.path().join("ca/ca.pem"));
    set(&mut none, "transport/link/tls/root_ca_certificate", &ca);
    assert!(zenoh::open(none).await.is_err(), "without a certificate");

    let stranger = Fleet::new().identity("n2");
    let mut mixed = stranger.paths.clone();
    mixed.authority = fleet.dir.path().join("ca/ca.pem");
    assert!(client(&mixed, &address).await.is_err(), "of another authority");

    for (what, times) in [("expired", (-1000, 500)), ("not yet valid", (1000, LONG_S))] {
        let identity = fleet.identity_of("n2", times);
        assert!(client(&identity.paths, &address).await.is_err(), "{what}");
    }
    assert!(!has_link(&gate, "n2"));

    let plain_tcp = plain("client", None, Some(&address.replace("tls/", "tcp/")));
    assert!(zenoh::open(plain_tcp).await.is_err(), "without TLS");
    assert!(has_link(&gate, "n1"), "nobody else is disturbed");
    good.close().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_of_another_authority_or_name_is_not_spoken_to() {
    let (fleet, other) = (Fleet::new(), Fleet::new());
    let member = fleet.identity("n1");
    let (_router, _, address) = other.router(64).await;
    assert!(client(&member.paths, &address).await.is_err(), "another authority");
    let (_router, _, address) = fleet.router(64).await;
    // The certificate of the listener is for 127.0.0.1, and names are checked.
    let address = address.replace("127.0.0.1", "127.0.0.2");
    assert!(client(&member.paths, &address).await.is_err(), "another name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_member_is_cut_off_in_two_seconds_and_for_good() {
    let fleet = Fleet::new();
    let (router, gate, address) = fleet.router(64).await;
    let heard = router.declare_subscriber("starbelt/f/*/tlm/*").await.expect("a subscriber");
    let (bad, good) = (fleet.identity("n1"), fleet.identity("n2"));
    let (rogue, other) = (client(&bad.paths, &address), client(&good.paths, &address));
    let (rogue, other) = (rogue.await.expect("let in"), other.await.expect("let in"));
    rogue.put("starbelt/f/n1/tlm/power", "before").await.expect("sent");
    let first = heard.recv_async().await.expect("it comes");
    assert_eq!(first.payload().to_bytes().as_ref(), b"before");

    gate.refuse(&revoked(&fleet, &bad));
    within(CUT, "the link of the revoked is closed", || async { !has_link(&gate, "n1") }).await;
    // It may try as long as it likes: its session dials again, and new ones are refused.
    rogue.put("starbelt/f/n1/tlm/power", "after").await.ok();
    assert!(client(&bad.paths, &address).await.is_err(), "a new session");
    rogue.put("starbelt/f/n1/tlm/power", "after").await.ok();
    other.put("starbelt/f/n2/tlm/power", "other").await.expect("sent");
    let next = heard.recv_async().await.expect("it comes");
    assert_eq!(next.payload().to_bytes().as_ref(), b"other", "nothing of the revoked in between");
    assert!(heard.try_recv().expect("the session lives").is_none());
    assert!(!has_link(&gate, "n1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_name_is_cut_off_also_with_a_key_that_nobody_knows() {
    let fleet = Fleet::new();
    let (_router, gate, address) = fleet.router(64).await;
    let mut members = revoked(&fleet, &fleet.identity("n1"));
    members.keys.clear();
    gate.refuse(&members);
    assert_eq!(members.revoked, [name("n1")]);
    // The handshake of this key succeeds; its link does not last.
    let session = client(&fleet.identity_of("n1", (0, 1000)).paths, &address).await;
    within(CUT, "no link of the revoked name", || async { !has_link(&gate, "n1") }).await;
    drop(session);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_with_the_certificate() {
    let fleet = Fleet::new();
    let (_router, gate, address) = fleet.router(64).await;
    let life_s = 4;
    let short = fleet.identity_of("n1", (0, life_s));
    let left = u64::try_from(life_s).expect("positive");
    let _session = client(&short.paths, &address).await.expect("it counts yet");
    until("the link", || async { has_link(&gate, "n1") }).await;
    let time = Duration::from_secs(left) + CUT;
    within(time, "the link has ended", || async { !has_link(&gate, "n1") }).await;
    assert!(client(&short.paths, &address).await.is_err(), "an expired certificate");
}
