//! Programs of the agent over a real socket: what is signed and uploaded by the operator's program, and every reason to refuse it. What nodes do
//! with them is tested where the agent is.

mod support;

use std::path::Path;
use std::process::{Command, Output};

use controller::api::{ErrorBody, PREFIX, ProgramInfo, UpdateAsk};
use controller::deploy::{PROGRAM_UPLOAD_TYPE, UPLOAD_TYPE, body, sha256};
use controller::keys::SigningKey;
use protocol::encode;
use protocol::release::{Release, STAMP, SignedRelease};
use support::served::start_server;
use types::{Arch, KeyName};

/// A file that says of itself that it is a program.
fn program(number: u64) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01".to_vec();
    file.resize(16, 0);
    file.extend(3_u16.to_le_bytes());
    file.extend(183_u16.to_le_bytes());
    file.extend(format!("{STAMP}0.3.1 {number};").bytes());
    file.resize(300_000, 0xa5);
    file
}

fn signed(program: &[u8], number: u64) -> Vec<u8> {
    let key = SigningKey::draw(KeyName::new("release").expect("a name")).expect("randomness");
    let release = Release {
        number,
        version: "0.3.1".to_owned(),
        arch: Arch::Arm64,
        sha256: sha256(program),
        bytes: u32::try_from(program.len()).expect("it fits"),
        key: key.id(),
        may_be_older: false,
    };
    encode(&key.sign_release(&release).expect("a valid release")).expect("it fits")
}

struct Served {
    agent: ureq::Agent,
    address: String,
    dir: tempfile::TempDir,
}

async fn served() -> Served {
    let dir = tempfile::tempdir().expect("a directory");
    let address = start_server(dir.path()).await.address;
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    Served { agent: ureq::Agent::new_with_config(config), address, dir }
}

impl Served {
    fn post(&self, path: &str, kind: &str, body: &[u8]) -> (u16, String) {
        let url = format!("http://{}{PREFIX}{path}", self.address);
        let mut answer = self.agent.post(url).header("content-type", kind).send(body).expect("one");
        let text = answer.body_mut().read_to_string().expect("text");
        (answer.status().as_u16(), text)
    }

    #[track_caller]
    fn refused(&self, (path, kind): (&str, &str), body: &[u8], status: u16, words: &str) {
        let (answered, text) = self.post(path, kind, body);
        assert_eq!(answered, status, "{text}");
        let ErrorBody { error } = serde_json::from_str(&text).expect("an error");
        assert!(error.message.contains(words), "{text}");
    }

    fn kept(&self) -> usize {
        let folder = std::fs::read_dir(self.dir.path().join("programs"));
        folder.map_or(0, Iterator::count)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_starbelt"))
            .args(arguments)
            .env("STARBELT_CONTROLLER", format!("http://{}", self.address))
            .env("XDG_CONFIG_HOME", self.dir.path())
            .output()
            .expect("it is built")
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).expect("a writable directory");
        path.display().to_string()
    }
}

fn ask(signed: &[u8], within_s: u32, is_rehearsal: bool) -> Vec<u8> {
    let release = signed.iter().map(|byte| format!("{byte:02x}")).collect();
    serde_json::to_vec(&UpdateAsk { release, within_s, is_rehearsal }).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_uploaded_is_what_was_signed() {
    let served = served().await;
    let good = program(7);
    let release = signed(&good, 7);
    let upload = ("/programs", PROGRAM_UPLOAD_TYPE);
    let mut tampered = good.clone();
    tampered[200_000] ^= 1;
    served.refused(upload, &body(&release, &tampered), 403, "not the one that was signed");
    served.refused(upload, &body(&signed(&good, 8), &good), 400, "says other things");
    served.refused(upload, &body(b"no release", &good), 400, "the release is refused");
    served.refused(upload, &[0, 0], 400, "ends within its length");
    served.refused(upload, &u32::MAX.to_be_bytes(), 413, "signed release");
    let other = ("/programs", UPLOAD_TYPE);
    served.refused(other, &body(&release, &good), 400, PROGRAM_UPLOAD_TYPE);
    assert_eq!(served.kept(), 0);
    let update = ("/nodes/sat-1/update", "application/json");
    served.refused(update, &ask(&release, 600, false), 404, "upload it first");
    let (status, text) = served.post(upload.0, upload.1, &body(&release, &good));
    assert_eq!(status, 200, "{text}");
    let info: ProgramInfo = serde_json::from_str(&text).expect("what the API says");
    assert_eq!((info.number, info.sha256, info.arch), (7, sha256(&good), Arch::Arm64));
    assert_eq!(served.kept(), 1);
    // This controller has no bus: so far it comes.
    served.refused(update, &ask(&release, 600, false), 503, "no bus");
    served.refused(update, &ask(&release, 9, false), 400, "within_s");
    served.refused(update, &ask(b"nothing", 600, true), 400, "release");
    served.refused(("/nodes/nobody/update", update.1), &ask(&release, 600, true), 404, "nobody");
    served.refused(("/nodes/sat-1/resume", update.1), b"", 503, "no bus");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_signs_uploads_and_is_told_what_each_node_says() {
    let served = served().await;
    let file = served.file("starbelt-agent", &program(7));
    let script = served.file("script", b"#!/bin/sh\n");
    let update = |more: &[&str]| {
        let arguments = [&["node", "update", "sat-1", "sat-2", "--program"], more].concat();
        let done = served.run(&arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.code(), text(&done.stdout), text(&done.stderr))
    };
    let (code, _, said) = update(&[&script]);
    assert!(code == Some(78) && said.contains("no program of Linux"), "{said}");
    let (code, _, said) = update(&[&file]);
    assert!(code == Some(3) && said.contains("key new"), "{said}");
    assert!(served.run(&["key", "new", "release"]).status.success());
    let (code, table, said) = update(&[&file, "--dry-run"]);
    assert_eq!((code, served.kept()), (Some(4), 0), "{said}");
    assert!(table.lines().count() == 3 && table.contains("sat-2"), "{table}");
    let (code, table, said) = update(&[&file, "--key", "release", "--within-s", "60"]);
    assert_eq!((code, served.kept()), (Some(4), 1), "{said}");
    assert!(table.contains("no bus") && said.contains("no bus"), "{table}{said}");
    let held = std::fs::read_dir(served.dir.path().join("programs")).expect("a folder").next();
    let held = held.expect("one").expect("a file").path();
    assert!(Path::new(&held).extension().is_some_and(|ending| ending == "program"));
}

#[test]
fn a_release_is_signed_over_its_own_domain() {
    let program = program(7);
    let signed: SignedRelease = protocol::decode(&signed(&program, 7)).expect("a valid frame");
    let bytes = SignedRelease::signed_bytes(&signed.release);
    assert!(bytes.starts_with(b"starbelt-agent-v1"));
    assert!(!bytes.starts_with(protocol::signed::FUNCTION_DOMAIN));
}
