//! What members may say: a rogue node has a certificate of its own, and wants to be another.

use zenoh::Session;

use crate::support::{Fleet, client};

/// Router, an honest node `n1`, and `rogue`.
async fn sessions(fleet: &Fleet) -> (Session, Session, Session) {
    let (router, _, address) = fleet.router(64).await;
    let honest = client(&fleet.identity("n1").paths, &address).await.expect("let in");
    let rogue = client(&fleet.identity("rogue").paths, &address).await.expect("let in");
    (router, honest, rogue)
}

fn text(sample: &zenoh::sample::Sample) -> String {
    String::from_utf8_lossy(&sample.payload().to_bytes()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rogue_node_writes_below_its_own_key_only() {
    let fleet = Fleet::new();
    let (router, honest, rogue) = sessions(&fleet).await;
    let heard = router.declare_subscriber("starbelt/**").await.expect("a subscriber");
    for key in [
        "starbelt/f/n1/tlm/power",
        "starbelt/f/n1/evt",
        "starbelt/f/rogue/cmd/1",
        "starbelt/f/_topo/plan",
        "starbelt/f/_ctl/members",
        "starbelt/f/_ctl/signers",
        "starbelt/g/rogue/tlm/power",
    ] {
        rogue.put(key, "forged").await.expect("sent");
        rogue.delete(key).await.expect("sent");
    }
    // In order on one link: when this has come, all before it would have.
    rogue.put("starbelt/f/rogue/tlm/power", "own").await.expect("sent");
    let first = heard.recv_async().await.expect("it comes");
    assert_eq!(
        (first.key_expr().as_str(), text(&first)),
        ("starbelt/f/rogue/tlm/power", "own".to_owned())
    );
    honest.put("starbelt/f/n1/tlm/power", "true").await.expect("sent");
    assert_eq!(text(&heard.recv_async().await.expect("it comes")), "true");
    assert!(heard.try_recv().expect("the session lives").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rogue_node_neither_answers_nor_lives_for_another() {
    let fleet = Fleet::new();
    let (router, honest, rogue) = sessions(&fleet).await;
    let answer = |session: &Session, key: &'static str, words: &'static str| {
        let session = session.clone();
        async move {
            let answer = move |query: zenoh::query::Query| {
                use zenoh::Wait as _;
                query.reply(query.key_expr().clone(), words).wait().ok();
            };
            session.declare_queryable(key).callback(answer).background().await.expect("declared");
        }
    };
    answer(&rogue, "starbelt/f/n1/cmd/*", "evil").await;
    answer(&rogue, "starbelt/f/n1/desired", "evil").await;
    answer(&rogue, "starbelt/f/*/fn/*/invoke", "evil").await;
    answer(&rogue, "starbelt/f/_ctl/signers", "evil").await;
    let _forged = rogue.liveliness().declare_token("starbelt/f/n1/@alive/9").await.expect("sent");
    answer(&honest, "starbelt/f/n1/cmd/*", "good").await;
    let _own = honest.liveliness().declare_token("starbelt/f/n1/@alive/1").await.expect("sent");
    answer(&rogue, "starbelt/f/rogue/cmd/*", "mine").await;

    // When the rogue's own key answers, all that it declared before has come, or never will.
    crate::support::until("the rogue's own key answers", || async {
        ask(&router, "starbelt/f/rogue/cmd/1").await == ["mine"]
    })
    .await;
    crate::support::until("n1 answers", || async {
        ask(&router, "starbelt/f/n1/cmd/1").await == ["good"]
    })
    .await;
    assert!(ask(&router, "starbelt/f/n1/desired").await.is_empty());
    assert!(ask(&router, "starbelt/f/n1/fn/w.t/invoke").await.is_empty());
    assert!(ask(&router, "starbelt/f/_ctl/signers").await.is_empty());
    let alive = router.liveliness().get("starbelt/f/*/@alive/*").await.expect("asked");
    let mut tokens = Vec::new();
    while let Ok(reply) = alive.recv_async().await {
        tokens.extend(reply.result().ok().map(|sample| sample.key_expr().to_string()));
    }
    assert_eq!(tokens, ["starbelt/f/n1/@alive/1"]);
}

/// All answers to a question, errors left out.
async fn ask(session: &Session, key: &str) -> Vec<String> {
    let answers = session.get(key).timeout(std::time::Duration::from_secs(2)).await.expect("asked");
    let mut words = Vec::new();
    while let Ok(reply) = answers.recv_async().await {
        words.extend(reply.result().ok().map(text));
    }
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_to_everything_and_a_viewer_to_reports() {
    let fleet = Fleet::new();
    let (router, _, address) = fleet.router(64).await;
    let honest = client(&fleet.identity("n1").paths, &address).await.expect("let in");
    let rogue = client(&fleet.identity("rogue").paths, &address).await.expect("let in");
    let viewer = client(&fleet.identity("viewer").paths, &address).await.expect("let in");
    let mut overheard = Vec::new();
    for key in
        ["**", "starbelt/**", "starbelt/f/n1/**", "starbelt/f/*/tlm/*", "starbelt/f/n1/cmd/*"]
    {
        overheard.push(rogue.declare_subscriber(key).await.expect("declared"));
    }
    let told = rogue.declare_subscriber("starbelt/f/_topo/plan").await.expect("declared");
    let seen = viewer.declare_subscriber("starbelt/f/*/tlm/*").await.expect("declared");
    crate::support::until("the viewer sees a report, the rogue is told the plan", || async {
        honest.put("starbelt/f/n1/tlm/power", "secret").await.expect("sent");
        router.put("starbelt/f/_topo/plan", "plan").await.expect("sent");
        router.put("starbelt/f/n1/cmd/1", "secret").await.expect("sent");
        !seen.is_empty() && !told.is_empty()
    })
    .await;
    for subscriber in &overheard {
        while let Some(sample) = subscriber.try_recv().expect("the session lives") {
            // What everybody is told matches the wide ones on the rogue's own side.
            assert_eq!(sample.key_expr().as_str(), "starbelt/f/_topo/plan", "{}", text(&sample));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rogue_node_commands_nobody() {
    let fleet = Fleet::new();
    let (_router, honest, rogue) = sessions(&fleet).await;
    let asked = honest.declare_queryable("starbelt/f/n1/**").await.expect("declared");
    for key in ["starbelt/f/n1/cmd/1", "starbelt/f/n1/desired", "starbelt/f/n1/evt"] {
        assert!(ask(&rogue, key).await.is_empty(), "{key}");
    }
    assert!(asked.try_recv().expect("the session lives").is_none(), "nothing has reached it");
}
