//! Links as the gate sees them, between sessions on loopback.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use tempfile::tempdir;

use super::*;
use crate::identity::Identity;
use crate::made::{Authority, name, nobody};
use crate::settings::identify;

/// Nothing takes so long that goes at all.
const PATIENCE: Duration = Duration::from_secs(30);

fn settings(who: Option<&Identity>, role: &str, address: &str) -> zenoh::Config {
    let mut settings = zenoh::Config::default();
    let (listen, connect) = if role == "router" { (address, "") } else { ("", address) };
    let list = |address: &str| {
        if address.is_empty() { "[]".to_owned() } else { format!("[{address:?}]") }
    };
    for (key, value) in [
        ("mode", format!("{role:?}")),
        ("listen/endpoints", list(listen)),
        ("connect/endpoints", list(connect)),
        ("connect/timeout_ms", "2000".to_owned()),
        ("connect/exit_on_failure", "true".to_owned()),
        ("scouting/multicast/enabled", "false".to_owned()),
        ("scouting/gossip/enabled", "false".to_owned()),
    ] {
        settings.insert_json5(key, &value).unwrap();
    }
    if let Some(who) = who {
        identify(&mut settings, &who.paths).unwrap();
    }
    settings
}

fn address(protocol: &str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("{protocol}/127.0.0.1:{}", listener.local_addr().unwrap().port())
}

async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "never: {what}");
}

fn joined(authority: &Authority, dir: &Path, who: &str) -> Identity {
    authority.joined(&dir.join(who), who)
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_have_the_names_of_their_certificates_and_leave_alone_when_revoked() {
    revoked::install().unwrap();
    let (authority, dir, address) = (Authority::new(), tempdir().unwrap(), address("tls"));
    let (hub, a, b) = (
        joined(&authority, dir.path(), "hub"),
        joined(&authority, dir.path(), "a"),
        joined(&authority, dir.path(), "b"),
    );
    let gate = Gate::new(Handle::current());
    let router = open(settings(Some(&hub), "router", &address), &gate).await.unwrap();
    assert!(gate.neighbours().is_empty());
    let first = zenoh::open(settings(Some(&a), "client", &address)).await.unwrap();
    let second = zenoh::open(settings(Some(&b), "client", &address)).await.unwrap();
    let names = || async {
        let mut names = gate.neighbours();
        names.sort();
        names
    };
    until("both links", || async { names().await == ["a", "b"] }).await;

    let mut members = nobody(1);
    members.revoked.push(name("a"));
    gate.refuse(&members);
    until("the link of a is closed", || async { names().await == ["b"] }).await;
    // What was revoked stays so with lists that do not say it.
    gate.refuse(&nobody(2));
    assert_eq!(names().await, ["b"]);
    second.close().await.unwrap();
    until("the link of b has ended", || async { names().await.is_empty() }).await;
    drop((router, first));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_certificate_has_no_name_and_no_revoked_name_is_its() {
    let (gate, address) = (Gate::new(Handle::current()), address("tcp"));
    let router = open(settings(None, "router", &address), &gate).await.unwrap();
    let session = zenoh::open(settings(None, "client", &address)).await.unwrap();
    until("the link", || async { gate.neighbours() == [""] }).await;
    let mut members = nobody(1);
    members.revoked.push(name("a"));
    gate.refuse(&members);
    let heard = router.declare_subscriber("here").await.unwrap();
    session.put("here", "still").await.unwrap();
    assert_eq!(heard.recv_async().await.unwrap().payload().to_bytes().as_ref(), b"still");
    session.close().await.unwrap();
    until("the link has ended", || async { gate.neighbours().is_empty() }).await;
}
