//! Strangers on the same network who call for routers: the controller's session neither calls nor answers.

use std::time::Duration;

use controller::shell::zenoh::{Bus, BusRole, Security};
use protocol::access::policies;
use secure::gate::Gate;
use tokio::runtime::Handle;
use zenoh::config::WhatAmI;

use crate::support::{Fleet, fleet, free_port, name, plain, set};

/// Calls that somebody has answered until silence means something; they come 1 s, 2 s and 4 s apart.
const CALLS: usize = 3;
/// Until somebody answers the first call on a network that carries them.
const FIRST: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_call_for_routers_is_neither_made_nor_answered() {
    let made = Fleet::new();
    let (port, gate) = (free_port(), Gate::new(Handle::current()));
    let rules = policies(&fleet(), &made.members, &name("ctl"));
    let security = Security {
        paths: made.identity("ctl").paths,
        policies: Some((fleet(), rules)),
        gate: gate.clone(),
    };
    let listen = vec![format!("tls/127.0.0.1:{port}")];
    let role = BusRole::Router { listen, connect: Vec::new() };
    let bus = Bus::open(&role, Some(&security)).await.expect("it opens");

    // A stranger that answers calls, dials whoever calls, and would dial whoever answers.
    let stranger_port = free_port();
    let address = format!("tcp/127.0.0.1:{stranger_port}");
    let mut stranger = plain("router", Some(&address), None);
    let mut caller = plain("client", None, None);
    for config in [&mut stranger, &mut caller] {
        set(config, "scouting/multicast/enabled", "true");
        set(config, "scouting/multicast/interface", "\"lo\"");
    }
    set(&mut stranger, "scouting/multicast/autoconnect", r#"{"router": ["router", "peer"]}"#);
    let stranger = zenoh::open(stranger).await.expect("it opens");
    let hellos = zenoh::scout(WhatAmI::Router, caller).await.expect("it calls");
    let (mut ports, mut answered) = (Vec::new(), 0);
    while answered < CALLS {
        let Ok(hello) = tokio::time::timeout(FIRST, hellos.recv_async()).await else {
            let test = "a_call_for_routers_is_neither_made_nor_answered";
            eprintln!("skipped: {test}: this machine's loopback carries no multicast");
            return;
        };
        let hello = hello.expect("the caller lives");
        answered += usize::from(hello.zid() == stranger.zid());
        ports.extend(hello.locators().iter().map(ToString::to_string));
    }
    let ours = format!(":{port}");
    assert!(!ports.iter().any(|locator| locator.ends_with(&ours)), "it answered: {ports:?}");
    let strangers = stranger.info().routers_zid().await.count();
    assert_eq!((gate.neighbours(), strangers), (Vec::new(), 0), "somebody was dialled");
    bus.leave();
}
