//! Encryption and certificates of both sides.

use std::path::{Path, PathBuf};

use agent::config::{BrokerUrl, MqttConfig, MqttProfile, MqttTls};
use agent::mqtt::{Bridge, MqttError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use types::{FleetId, NodeId, SkyClock};

use super::broker::Broker;
use super::{ME, Started, config};

/// An authority in a folder, and what it signs.
struct Authority {
    dir: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("files of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("files of a test"))
                .expect("files of a test");
        std::fs::write(dir.join(format!("{name}.pem")), issuer.pem()).expect("files of a test");
        Self { dir: dir.to_owned(), issuer }
    }

    /// Signs a new key for a name; answers certificate and key.
    fn sign(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("files of a test");
        let names = vec![name.to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).expect("files of a test");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let cert = params.signed_by(&key, &self.issuer).expect("files of a test");
        let paths = (self.dir.join(format!("{name}.crt")), self.dir.join(format!("{name}.key")));
        std::fs::write(&paths.0, cert.pem()).expect("files of a test");
        std::fs::write(&paths.1, key.serialize_pem()).expect("files of a test");
        paths
    }
}

fn secure(port: u16, ca: PathBuf, identity: Option<(PathBuf, PathBuf)>) -> MqttConfig {
    MqttConfig {
        broker: BrokerUrl { is_secure: true, host: "localhost".to_owned(), port },
        tls: MqttTls { ca, identity, alpn: Vec::new() },
        ..config(port, &[MqttProfile::Native])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_both_sides_are_checked() {
    let name = "certificates_of_both_sides_are_checked";
    let files = tempfile::tempdir().expect("files of a test");
    let good = Authority::new(files.path(), "good");
    Authority::new(files.path(), "other");
    let (cert, key) = good.sign("broker");
    let ca = files.path().join("good.pem");
    let settings = format!(
        "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\nuse_identity_as_username true\n",
        ca.display(),
        cert.display(),
        key.display()
    );
    let Some(broker) = Broker::with(name, |_dir| settings) else { return };
    let mine = good.sign(ME);

    // Both know each other: the broker calls the node by its certificate.
    let started = Started::new(&secure(broker.port, ca.clone(), Some(mine.clone())));
    tokio::task::block_in_place(|| broker.says("as station-1 (p5, c1, k5, u'station-1')"));
    started.bridge.end().await;

    // A node without a certificate, and one that does not trust the broker, stay outside.
    let _nobody = Started::new(&secure(broker.port, ca, None));
    tokio::task::block_in_place(|| broker.says("peer did not return a certificate"));
    let _careful = Started::new(&secure(broker.port, files.path().join("other.pem"), Some(mine)));
    tokio::task::block_in_place(|| broker.says("unknown ca"));
}

#[tokio::test]
async fn a_certificate_that_is_none_is_told_at_the_start() {
    let files = tempfile::tempdir().expect("files of a test");
    let authority = Authority::new(files.path(), "good");
    let (ca, empty) = (files.path().join("good.pem"), files.path().join("empty.pem"));
    std::fs::write(&empty, "no certificate\n").expect("files of a test");
    let (cert, key) = authority.sign(ME);
    let (_, other_key) = authority.sign("other");
    let missing = files.path().join("missing.pem");
    let table = [
        (missing.clone(), None, "missing.pem"),
        (empty.clone(), None, "no certificate in PEM"),
        (ca.clone(), Some((cert.clone(), empty)), "no private key in PEM"),
        (ca.clone(), Some((cert.clone(), other_key)), "station-1.crt"),
        (ca.clone(), Some((missing, key.clone())), "missing.pem"),
    ];
    let (node, fleet) =
        (NodeId::new(ME).expect("files of a test"), FleetId::new("demo").expect("files of a test"));
    let start = |config: &MqttConfig| -> Result<(), MqttError> {
        let clock = agent::clock::Clock::start(SkyClock::REAL);
        let (_, tasks) = Bridge::start(config, (&node, &fleet), &clock)?;
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        Ok(())
    };
    for (ca, identity, words) in table {
        let error = start(&secure(1, ca, identity)).unwrap_err().to_string();
        assert!(error.contains(words), "{error} does not name {words}");
    }
    start(&secure(1, ca, Some((cert, key)))).expect("files of a test");
}
