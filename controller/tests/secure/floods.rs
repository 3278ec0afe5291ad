//! Too much of everything: declarations, large messages, sessions. What others do goes on.

use std::time::Duration;

use zenoh::Session;

use crate::support::{Fleet, client, has_link, until};

/// Declarations of one node, of three kinds in turn. Each costs Zenoh, on both sides, time in proportion to those
/// before: a hundred thousand take many minutes.
const DECLARATIONS: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_declarations_elsewhere_reaches_nobody() {
    let fleet = Fleet::new();
    let (router, _, address) = fleet.router(64).await;
    let honest = client(&fleet.identity("n1").paths, &address).await.expect("let in");
    let rogue = client(&fleet.identity("rogue").paths, &address).await.expect("let in");
    let heard = router.declare_subscriber("starbelt/f/*/tlm/*").await.expect("a subscriber");
    let (mut answering, mut hearing, mut living) = (Vec::new(), Vec::new(), Vec::new());
    for nth in 0..DECLARATIONS {
        match nth % 3 {
            0 => {
                let key = format!("starbelt/f/n1/fn/x{nth}/invoke");
                answering.push(rogue.declare_queryable(key).await.expect("sent"));
            }
            1 => {
                let key = format!("starbelt/f/n1/tlm/x{nth}");
                hearing.push(rogue.declare_subscriber(key).await.expect("sent"));
            }
            _ => {
                let key = format!("starbelt/f/n1/@alive/{nth}");
                living.push(rogue.liveliness().declare_token(key).await.expect("sent"));
            }
        }
    }
    until("n1 is heard", || async {
        honest.put("starbelt/f/n1/tlm/x1", "x").await.expect("sent");
        !heard.is_empty()
    })
    .await;
    // When the rogue's own token is seen, all that it declared before has come, or never will.
    let alive = "starbelt/f/*/@alive/*";
    let _own = rogue.liveliness().declare_token("starbelt/f/rogue/@alive/1").await.expect("sent");
    until("the rogue's own token", || async { !alive_at(&router, alive).await.is_empty() }).await;
    assert_eq!(alive_at(&router, alive).await, ["starbelt/f/rogue/@alive/1"]);
    let answers = router.get("starbelt/f/n1/fn/*/invoke").timeout(Duration::from_secs(5));
    let answers = answers.await.expect("asked");
    assert!(answers.recv_async().await.is_err(), "nobody answers there");
    for queryable in &answering {
        assert!(queryable.try_recv().expect("the session lives").is_none());
    }
    for subscriber in &hearing {
        assert!(subscriber.try_recv().expect("the session lives").is_none());
    }
}

async fn alive_at(router: &Session, key: &str) -> Vec<String> {
    let alive = router.liveliness().get(key).await.expect("asked");
    let mut tokens = Vec::new();
    while let Ok(reply) = alive.recv_async().await {
        tokens.extend(reply.result().ok().map(|sample| sample.key_expr().to_string()));
    }
    tokens
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_dropped_and_the_next_arrives() {
    let fleet = Fleet::new();
    let (router, gate, address) = fleet.router(64).await;
    let heard = router.declare_subscriber("starbelt/f/**").await.expect("a subscriber");
    let rogue = client(&fleet.identity("rogue").paths, &address).await.expect("let in");
    until("the link", || async { has_link(&gate, "rogue") }).await;
    // Longer than a report.
    rogue.put("starbelt/f/rogue/tlm/power", vec![0; 20_000]).await.expect("sent");
    rogue.put("starbelt/f/rogue/tlm/power", "small").await.expect("sent");
    let first = heard.recv_async().await.expect("it comes");
    assert_eq!(first.payload().to_bytes().as_ref(), b"small");
    // Longer than any message: 10 MB where 1 MiB are taken. The link may be given up, and comes back.
    rogue.put("starbelt/f/rogue/evt", vec![0; 10_000_000]).await.ok();
    until("the next arrives", || async {
        rogue.put("starbelt/f/rogue/tlm/power", "again").await.ok();
        !heard.is_empty()
    })
    .await;
    let next = heard.recv_async().await.expect("it comes");
    assert_eq!(next.payload().to_bytes().as_ref(), b"again", "and not the 10 MB");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_beyond_the_most_are_refused_and_those_that_are_there_stay() {
    let fleet = Fleet::new();
    let (router, gate, address) = fleet.router(2).await;
    let heard = router.declare_subscriber("starbelt/f/*/tlm/*").await.expect("a subscriber");
    let first = client(&fleet.identity("n1").paths, &address).await.expect("let in");
    let _second = client(&fleet.identity("n2").paths, &address).await.expect("let in");
    until("both links", || async { has_link(&gate, "n1") && has_link(&gate, "n2") }).await;
    let rogue = fleet.identity("rogue");
    for _ in 0..3 {
        assert!(client(&rogue.paths, &address).await.is_err(), "one too many");
    }
    first.put("starbelt/f/n1/tlm/power", "still").await.expect("sent");
    let sample = heard.recv_async().await.expect("it comes");
    assert_eq!(sample.payload().to_bytes().as_ref(), b"still");
    assert!(has_link(&gate, "n1") && has_link(&gate, "n2"));
}
