//! Joining, from the token to the certificate and its renewal, over HTTPS.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use controller::authority::provision;
use controller::config::Config;
use controller::http::join::{TlsListener, serve};
use controller::registry::Grant;
use controller::shell::keeper::{Keeper, now_s};
use protocol::join::Token;
use secure::client::{self, ClientError, JOIN_PATH};
use secure::identity::{Identity, IdentityError};
use types::LeaderEpoch;

use crate::support::{fleet, name};

/// A keeper whose endpoint serves on loopback.
struct Served {
    dir: tempfile::TempDir,
    keeper: Keeper,
    url: String,
    address: std::net::SocketAddr,
}

fn config(life_s: u32) -> Config {
    let text = format!(
        "version = 1\n[controller]\nname = \"ctl\"\nfleet = \"f\"\nstate_dir = \"state\"\n[bus]\n[sky]\nfile = \"sky.toml\"\n\
         [identity]\nauthority = \"ca\"\naddresses = [\"127.0.0.1\"]\nlife_s = {life_s}\n\
         [[node]]\nname = \"n1\"\nkind = \"edge\"\nmilli_cpu = 1000\nmemory_mib = 64\n\
         [[node]]\nname = \"n2\"\nkind = \"edge\"\nmilli_cpu = 1000\nmemory_mib = 64\n"
    );
    toml::from_str(&text).expect("a good configuration")
}

fn keeper(dir: &Path, life_s: u32) -> Keeper {
    let config = config(life_s);
    let section = config.identity.as_ref().expect("it has one");
    let state = dir.join("state");
    std::fs::create_dir_all(&state).expect("a folder");
    Keeper::open(&config, section, (dir, &state), LeaderEpoch(1)).expect("a keeper")
}

async fn served(life_s: u32) -> Served {
    let dir = tempfile::tempdir().expect("a folder");
    secure::revoked::install().expect("nothing else sets the cryptography of this process");
    provision(&dir.path().join("ca"), &fleet(), now_s()).expect("an authority");
    let keeper = keeper(dir.path(), life_s);
    let own = keeper.own(&["127.0.0.1".to_owned()]).expect("an identity of its own");
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener = TlsListener::bind(any, &own).await.expect("it listens");
    let address = listener.address();
    tokio::spawn(serve(listener, keeper.clone(), std::future::pending()));
    Served { dir, keeper, url: format!("https://{address}"), address }
}

impl Served {
    fn token(&self, node: &str) -> Token {
        let grant = Grant { name: name(node), addresses: vec!["127.0.0.1".to_owned()] };
        self.keeper.grant(grant, 600).expect("a token").token
    }

    fn dir(&self, node: &str) -> PathBuf {
        self.dir.path().join(node)
    }

    async fn join(&self, dir: &str, token: &Token) -> Result<Identity, ClientError> {
        let (dir, url, token) = (self.dir(dir), self.url.clone(), token.clone());
        tokio::task::spawn_blocking(move || client::join(&dir, &url, &token)).await.expect("ran")
    }

    async fn renew(&self, identity: &Identity) -> Result<Identity, ClientError> {
        let (mut identity, url) = (identity.clone(), self.url.clone());
        let renewed = move || client::renew(&mut identity, &url).map(|_| identity);
        tokio::task::spawn_blocking(renewed).await.expect("ran")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_becomes_a_certificate_once() {
    let served = served(86_400).await;
    let token = served.token("n1");
    let joined = served.join("n1", &token).await.expect("it joins");
    assert_eq!(joined.facts.name, name("n1"));
    assert_eq!(joined.authority, served.keeper.authority().certificate);
    assert_eq!(joined.members, served.keeper.members());
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(&joined.paths.key).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Again in the same folder, with the same token in another one, with a token of another fleet.
    let again = served.join("n1", &token).await.expect_err("it has joined");
    assert!(matches!(again, ClientError::Identity(IdentityError::Exists { .. })), "{again}");
    let stolen = served.join("thief", &token).await.expect_err("used up");
    assert!(stolen.to_string().contains("used for another key"), "{stolen}");
    assert!(!served.dir("thief").join("node.pem").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_is_given_again_to_the_same_key() {
    let served = served(86_400).await;
    let token = served.token("n1");
    let first = served.join("n1", &token).await.expect("it joins");
    // As if the machine had lost power before the answer came: it has its key, and no certificate.
    std::fs::remove_file(&first.paths.certificate).expect("it is there");
    let second = served.join("n1", &token).await.expect("the same key");
    assert_eq!(second.facts, first.facts);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_to_an_authority_that_is_not_the_tokens() {
    let (ours, other) = (served(86_400).await, served(86_400).await);
    let token = ours.token("n1");
    let between = Served { url: other.url.clone(), ..ours };
    let refused = between.join("n1", &token).await.expect_err("another authority");
    assert!(matches!(refused, ClientError::OtherAuthority { .. }), "{refused}");
    // The token is as good as before.
    let ours = Served { url: format!("https://{}", between.address), ..between };
    ours.join("n1", &token).await.expect("nobody has seen it");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_do_not_count_are_refused_with_the_reason() {
    let served = served(86_400).await;
    let good = served.token("n1");
    let wrong = Token { secret: [0; 16], ..good.clone() };
    let other = Token { node: name("n2"), ..good.clone() };
    for (token, words) in [(wrong, "not known here"), (other, "not known here")] {
        let dir = format!("try-{}", token.node);
        let refused = served.join(&dir, &token).await.expect_err("it does not count");
        assert!(refused.to_string().contains(words), "{refused}");
        assert!(!refused.may_pass());
    }
    let nobody = Grant { name: name("n9"), addresses: Vec::new() };
    let said = served.keeper.grant(nobody, 600).expect_err("no member").to_string();
    assert!(said.contains("no member"), "{said}");
    let own = Grant { name: name("ctl"), addresses: Vec::new() };
    assert!(served.keeper.grant(own, 600).is_err(), "nobody joins as the controller");
    served.join("n1", &good).await.expect("the good one is as good as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_with_the_one_before_until_it_is_revoked() {
    let served = served(86_400).await;
    let joined = served.join("n1", &served.token("n1")).await.expect("it joins");
    let renewed = served.renew(&joined).await.expect("it counts");
    assert_ne!(renewed.facts.serial, joined.facts.serial);
    assert_eq!(renewed.facts.key, joined.facts.key);
    assert_eq!(Identity::load(&served.dir("n1")).expect("kept").facts, renewed.facts);

    let other = served.join("n2", &served.token("n2")).await.expect("it joins");
    assert!(served.keeper.revoke(&name("n1")).expect("a member"));
    let members = served.keeper.members();
    assert_eq!((members.role("n1"), members.keys.len()), (None, 1));
    let refused = served.renew(&renewed).await.expect_err("revoked");
    assert!(refused.to_string().contains("revoked"), "{refused}");
    served.renew(&other).await.expect("nobody else is concerned");
    // It holds after a restart, and there is no way back.
    let again = keeper(served.dir.path(), 86_400);
    assert_eq!(again.members().revoked, [name("n1")]);
    let grant = Grant { name: name("n1"), addresses: Vec::new() };
    assert!(again.grant(grant, 600).expect_err("revoked").to_string().contains("never comes back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn renewal_takes_a_certificate_of_this_fleet_that_counts() {
    let (served, elsewhere) = (served(86_400).await, served(86_400).await);
    let foreign = elsewhere.join("n1", &elsewhere.token("n1")).await.expect("it joins there");
    let foreign = Identity { authority: served.keeper.authority().certificate.clone(), ..foreign };
    assert!(served.renew(&foreign).await.is_err(), "of another fleet");
    // Without any certificate.
    let pem = served.keeper.authority().text.clone();
    let url = format!("{}/v1/renew", served.url);
    let answer = tokio::task::spawn_blocking(move || post(&pem, &url, "{\"request\":\"x\"}"));
    assert_eq!(answer.await.expect("ran").expect("it answers").0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_send_is_bounded() {
    let served = served(86_400).await;
    let pem = served.keeper.authority().text.clone();
    let url = format!("{}{JOIN_PATH}", served.url);
    for (body, status) in [
        ("x".repeat(100_000), 413),
        ("x".to_owned(), 400),
        ("{}".to_owned(), 400),
        ("{\"token\":\"t\",\"request\":\"r\"}".to_owned(), 400),
        ("{\"token\":\"t\",\"request\":\"r\",\"more\":1}".to_owned(), 400),
    ] {
        let (pem, url) = (pem.clone(), url.clone());
        let answer = tokio::task::spawn_blocking(move || post(&pem, &url, &body));
        match answer.await.expect("ran") {
            Ok((said, text)) => assert_eq!(said, status, "{text}"),
            // The server does not read to the end what is too long, so that it may close before its answer is read.
            Err(error) => assert_eq!(status, 413, "{error}"),
        }
    }
    // Who says nothing, and who speaks no TLS, hold a place for a while, and others are served.
    let address = served.address;
    let silent: Vec<_> =
        (0..20).map(|_| std::net::TcpStream::connect(address).expect("it listens")).collect();
    let plain = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream.write_all(b"GET /v1/authority HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        answer
    });
    let answer = plain.await.expect("ran");
    assert!(!answer.starts_with(b"HTTP"), "plain HTTP is not answered");
    served.join("n1", &served.token("n1")).await.expect("others are served");
    drop(silent);
}

/// Status and text of a request without a certificate; why there is no answer.
fn post(authority: &str, url: &str, body: &str) -> Result<(u16, String), ureq::Error> {
    use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
    let authority = Certificate::from_pem(authority.as_bytes()).expect("a certificate");
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::new_with_certs(&[authority]))
        .build();
    let config = ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false);
    let agent: ureq::Agent = config.build().into();
    let mut answer = agent.post(url).content_type("application/json").send(body)?;
    Ok((answer.status().as_u16(), answer.body_mut().read_to_string().unwrap_or_default()))
}
