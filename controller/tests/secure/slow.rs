//! Neighbours whose links take nothing for a while: reports are dropped, commands end in time, and the link stays.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use zenoh::Session;

use crate::support::{Fleet, client, has_link, until};

/// More than the buffers of the system hold between two processes.
const REPORTS: usize = 3_000;
const REPORT_BYTES: usize = 8 * 1024;

/// A link in the middle of which what goes to the client can be held back.
struct Line {
    address: SocketAddr,
    flows: watch::Sender<bool>,
    /// How often it was dialled.
    dialled: Arc<AtomicUsize>,
}

impl Line {
    async fn to(router: &str) -> Self {
        let router: SocketAddr = router.trim_start_matches("tls/").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (flows, gate) = watch::channel(true);
        let dialled = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&dialled);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let router = TcpStream::connect(router).await.expect("the router listens");
                let (from_client, to_client) = client.into_split();
                let (from_router, to_router) = router.into_split();
                tokio::spawn(carry(from_client, to_router, None));
                tokio::spawn(carry(from_router, to_client, Some(gate.clone())));
            }
        });
        Self { address, flows, dialled }
    }

    fn text(&self) -> String {
        format!("tls/{}", self.address)
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut gate: Option<watch::Receiver<bool>>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        // Asked after reading: what comes while the link takes nothing must not pass either.
        if let Some(gate) = &mut gate
            && gate.wait_for(|flows| *flows).await.is_err()
        {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Counts what a session hears.
async fn count(session: &Session, key: &'static str) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    let take = move |_| {
        counting.fetch_add(1, Ordering::SeqCst);
    };
    session.declare_subscriber(key).callback(take).background().await.expect("declared");
    count
}

async fn answer(session: &Session, key: &'static str) {
    let answer = move |query: zenoh::query::Query| {
        use zenoh::Wait as _;
        query.reply(key, "done").wait().ok();
    };
    session.declare_queryable(key).callback(answer).background().await.expect("declared");
}

async fn commands(router: &Session, key: &str) -> bool {
    let answers = router.get(key).timeout(Duration::from_millis(500)).await.expect("asked");
    answers.recv_async().await.is_ok_and(|reply| reply.result().is_ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_takes_nothing_costs_reports_and_not_itself_nor_others() {
    let fleet = Fleet::new();
    let (router, gate, address) = fleet.router(64).await;
    let (line_of_viewer, line_of_node) = (Line::to(&address).await, Line::to(&address).await);
    let reporting = client(&fleet.identity("n1").paths, &address).await.expect("let in");
    let slow_node = fleet.identity("n2");
    let slow_node = client(&slow_node.paths, &line_of_node.text()).await.expect("let in");
    let viewer = fleet.identity("viewer");
    let viewer = client(&viewer.paths, &line_of_viewer.text()).await.expect("let in");
    let reports = "starbelt/f/*/tlm/*";
    let (at_router, at_viewer) = (count(&router, reports).await, count(&viewer, reports).await);
    answer(&reporting, "starbelt/f/n1/cmd/1").await;
    answer(&slow_node, "starbelt/f/n2/cmd/1").await;
    let report = || async {
        reporting.put("starbelt/f/n1/tlm/power", vec![7; REPORT_BYTES]).await.expect("sent");
    };
    until("the viewer hears reports", || async {
        report().await;
        at_viewer.load(Ordering::SeqCst) != 0
    })
    .await;
    until("both nodes answer", || async {
        commands(&router, "starbelt/f/n1/cmd/1").await
            && commands(&router, "starbelt/f/n2/cmd/1").await
    })
    .await;

    line_of_viewer.flows.send_replace(false);
    line_of_node.flows.send_replace(false);
    let before = at_router.load(Ordering::SeqCst);
    until("the controller has heard more than fits between it and the viewer", || async {
        for _ in 0..100 {
            report().await;
        }
        before + REPORTS < at_router.load(Ordering::SeqCst)
    })
    .await;
    assert!(!commands(&router, "starbelt/f/n2/cmd/1").await, "the slow node cannot have answered");
    until("the other one answers", || async { commands(&router, "starbelt/f/n1/cmd/1").await })
        .await;
    assert!(!commands(&router, "starbelt/f/n2/cmd/1").await, "the slow one still cannot");
    for who in ["n1", "n2", "viewer"] {
        assert!(has_link(&gate, who), "{who} has its link");
    }

    line_of_viewer.flows.send_replace(true);
    line_of_node.flows.send_replace(true);
    let held = at_viewer.load(Ordering::SeqCst);
    until("reports come again", || async {
        report().await;
        held + 1 < at_viewer.load(Ordering::SeqCst)
    })
    .await;
    until("the slow node answers again", || async {
        commands(&router, "starbelt/f/n2/cmd/1").await
    })
    .await;
    let (all, seen) = (at_router.load(Ordering::SeqCst), at_viewer.load(Ordering::SeqCst));
    assert!(seen < all, "of {all} reports the viewer heard {seen}: none was dropped");
    let dialled = [&line_of_viewer, &line_of_node].map(|line| line.dialled.load(Ordering::SeqCst));
    assert_eq!(dialled, [1, 1], "no link was given up");
}
