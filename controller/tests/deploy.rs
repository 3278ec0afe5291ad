//! Deploying over a real socket: what is taken, and every reason to refuse it, in the order in which they are looked for.

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use controller::api::{self, ErrorBody, PREFIX};
use controller::controller::{Controller, Saved};
use controller::deploy::{
    Gate, UPLOAD_BYTES_MAX, UPLOAD_TYPE, Upload, body, open, upload as upload_of,
};
use controller::event::Now;
use controller::function_file::FunctionFile;
use controller::http::Patience;
use controller::keys::SigningKey;
use controller::shell::store::Store;
use ed25519_dalek::Signer as _;
use protocol::encode;
use protocol::manifest::slots::Budgets;
use protocol::manifest::{Code, Manifest, NO_WORLD};
use protocol::signed::{KeyId, Signature, SignedManifest};
use serde::de::DeserializeOwned;
use support::component;
use support::served::start_server_with;
use support::signing::{key, manifest, trust_body, upload};
use types::{Epoch, FunctionId, LeaderEpoch, MiB, WallTime};

/// The model of the probe: a convolution and a linear layer.
const MODEL: &[u8] = include_bytes!("../../functions/infer/src/probe/model.onnx");

struct Client {
    agent: ureq::Agent,
    address: String,
    key: SigningKey,
    dir: tempfile::TempDir,
}

/// A server that trusts the key of the client.
async fn client() -> Client {
    let dir = tempfile::tempdir().expect("a directory");
    let patience = Patience { stall: Duration::from_millis(200), total: Duration::from_secs(5) };
    let address = start_server_with(dir.path(), patience).await.address;
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let client = Client { agent: ureq::Agent::new_with_config(config), address, key: key(), dir };
    client.trust(&client.key);
    client
}

type Sent = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

#[track_caller]
fn good<T: DeserializeOwned>(sent: Sent) -> T {
    let mut answer = sent.expect("an answer");
    let text = answer.body_mut().read_to_string().expect("text");
    assert_eq!(answer.status(), 200, "{text}");
    serde_json::from_str(&text).expect("what the API says")
}

#[track_caller]
fn refused(sent: Sent, status: u16, code: &str, words: &str) {
    let mut answer = sent.expect("an answer");
    let text = answer.body_mut().read_to_string().expect("text");
    assert_eq!(answer.status(), status, "{text}");
    let ErrorBody { error } = serde_json::from_str(&text).expect("an error");
    assert!(error.code == code && error.message.contains(words), "{text}");
}

impl Client {
    fn post(&self, path: &str, kind: &str, body: &[u8]) -> Sent {
        let url = format!("http://{}{PREFIX}{path}", self.address);
        self.agent.post(url).header("content-type", kind).send(body)
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        good(self.agent.get(format!("http://{}{PREFIX}{path}", self.address)).call())
    }

    fn delete(&self, path: &str) -> Sent {
        self.agent.delete(format!("http://{}{PREFIX}{path}", self.address)).call()
    }

    fn push(&self, body: &[u8]) -> Sent {
        self.post("/functions", UPLOAD_TYPE, body)
    }

    fn trust(&self, key: &SigningKey) -> api::KeyInfo {
        good(self.post("/keys", "application/json", &trust_body(key)))
    }

    fn revoke(&self, id: KeyId) -> Sent {
        self.post(&format!("/keys/{id}/revoke"), "application/json", &[])
    }

    /// Pushes component 1 with a manifest that is changed before it is signed.
    fn push_changed(&self, change: impl FnOnce(&mut Manifest)) -> Sent {
        let mut manifest = manifest("f", 5, 1, &self.key);
        change(&mut manifest);
        let signed = self.key.sign_manifest(&manifest).expect("a valid manifest");
        self.push(&body(&encode(&signed).expect("it fits"), &component(1)))
    }

    /// Pushes these bytes as such code, whatever a check would say of them.
    fn push_program(&self, version: u64, code: Code, bytes: &[u8]) -> Sent {
        let mut manifest = manifest("f", version, 1, &self.key);
        manifest.world = NO_WORLD;
        manifest.limits.linear_memory_mib = MiB(0);
        manifest.sha256 = controller::deploy::sha256(bytes);
        manifest.code = code;
        let signed = self.key.sign_manifest(&manifest).expect("a valid manifest");
        self.push(&body(&encode(&signed).expect("it fits"), bytes))
    }

    /// Files of components and manifests that are kept.
    fn files(&self) -> usize {
        std::fs::read_dir(self.dir.path()).expect("a directory").count()
    }
}

fn now() -> Epoch {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = i64::try_from(since.expect("after 1970").as_secs()).expect("before 2262");
    Epoch::from_unix_s(seconds).expect("before 2262")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_function_is_taken_and_the_same_again_changes_nothing() {
    let client = client().await;
    let first: api::FunctionInfo = good(client.push(&upload("f", 3, 1, &client.key)));
    assert_eq!((first.version, first.key, first.trusted), (3, client.key.id(), true));
    assert_eq!(first.tenant.as_str(), "default");
    let again: api::FunctionInfo = good(client.push(&upload("f", 3, 1, &client.key)));
    assert_eq!(again, first);
    let next: api::FunctionInfo = good(client.push(&upload("f", 4, 2, &client.key)));
    assert_ne!(next.sha256, first.sha256);
    let list: api::FunctionList = client.get("/functions");
    assert_eq!(list.functions, [next]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_signed_by_somebody_trusted_is_denied() {
    let client = client().await;
    let other = key();
    let told = "is not trusted by this fleet; who runs it can say: starbelt key trust FILE";
    refused(client.push(&upload("f", 1, 1, &other)), 403, "denied", told);

    let signed = client.key.sign_manifest(&manifest("f", 1, 1, &client.key)).expect("valid");
    let push = |signed: &SignedManifest| {
        client.push(&body(&encode(signed).expect("it fits"), &component(1)))
    };
    let changed = "was not signed with key";
    // Another signature, other bytes, and the name of a trusted key on what another one signed.
    let mut forged = signed.clone();
    forged.signature.s[3] ^= 1;
    refused(push(&forged), 403, "denied", changed);
    let mut forged = signed.clone();
    *forged.manifest.last_mut().expect("a frame") ^= 1;
    refused(push(&forged), 403, "denied", changed);
    let mut forged = other.sign_manifest(&manifest("f", 1, 1, &client.key)).expect("valid");
    forged.key = client.key.id();
    refused(push(&forged), 403, "denied", changed);
    // Two trusted keys: a manifest that names one and is signed with the other.
    client.trust(&other);
    let crossed = other.sign_manifest(&manifest("f", 1, 1, &client.key)).expect("valid");
    refused(push(&crossed), 403, "denied", "the manifest names key");
    assert_eq!(client.files(), 0, "nothing of what was denied is kept");
    good::<api::FunctionInfo>(push(&signed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_for_something_else_is_none_for_a_function() {
    let client = client().await;
    let secret = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let public = secret.verifying_key().to_bytes();
    let id = controller::keys::key_id(&public);
    let digits: String = public.iter().map(|byte| format!("{byte:02x}")).collect();
    let request = format!("{{\"name\":\"domains\",\"public_key\":\"{digits}\"}}");
    good::<api::KeyInfo>(client.post("/keys", "application/json", request.as_bytes()));
    let mut manifest = manifest("f", 1, 1, &client.key);
    manifest.key = id;
    let frame = encode(&manifest).expect("valid");
    let push = |domain: &[u8]| {
        let signature = secret.sign(&[domain, &frame].concat()).to_bytes();
        let signature = Signature::from_bytes(&signature);
        let signed = SignedManifest { manifest: frame.clone(), key: id, signature };
        client.push(&body(&encode(&signed).expect("it fits"), &component(1)))
    };
    for domain in [&b""[..], b"starbelt-aot-v1", b"starbelt-fn-v2", b"starbelt-fn-v"] {
        refused(push(domain), 403, "denied", "was not signed with key");
    }
    good::<api::FunctionInfo>(push(b"starbelt-fn-v1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_denied_for_good() {
    let client = client().await;
    good::<api::FunctionInfo>(client.push(&upload("f", 1, 1, &client.key)));
    refused(client.revoke(KeyId([1; 8])), 404, "not_found", "there is no key 0101010101010101");
    let revoked: api::KeyInfo = good(client.revoke(client.key.id()));
    assert!(revoked.revoked && revoked.functions == ["f"]);
    let again: api::KeyInfo = good(client.revoke(client.key.id()));
    assert_eq!(again, revoked);
    let words = "was revoked; sign with another one";
    refused(client.push(&upload("f", 2, 2, &client.key)), 403, "denied", words);
    let trust = client.post("/keys", "application/json", &trust_body(&client.key));
    refused(trust, 409, "conflict", "was revoked and stays so");
    let list: api::FunctionList = client.get("/functions");
    assert!(!list.functions[0].trusted);
    let other = key();
    client.trust(&other);
    let pushed: api::FunctionInfo = good(client.push(&upload("f", 2, 1, &other)));
    assert!(pushed.trusted);
    let keys: api::KeyList = client.get("/keys");
    let states: Vec<bool> = keys.keys.iter().map(|key| key.revoked).collect();
    assert_eq!(states, [false, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_signed_must_be_what_comes_and_nothing_older() {
    let client = client().await;
    let signed = client.key.sign_manifest(&manifest("f", 5, 1, &client.key)).expect("valid");
    let signed = encode(&signed).expect("it fits");
    let other = client.push(&body(&signed, &component(2)));
    refused(other, 403, "denied", "the component is not the one that was signed");
    good::<api::FunctionInfo>(client.push(&body(&signed, &component(1))));
    let lower = client.push(&upload("f", 4, 1, &client.key));
    refused(lower, 409, "conflict", "version 4 is lower than 5, which was seen already");
    let words = "version 5 was pushed before with other content";
    refused(client.push(&upload("f", 5, 2, &client.key)), 409, "conflict", words);
    // The same code with other rights is something else, too.
    let more = client.push_changed(|manifest| manifest.limits.deadline_ms += 1);
    refused(more, 409, "conflict", words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_are_taken_in_their_time_and_for_this_contract_only() {
    let client = client().await;
    let (hour_ago, in_an_hour) = (now().plus_s(-3600.0), now().plus_s(3600.0));
    let early = client.push_changed(|manifest| manifest.not_before = Some(in_an_hour));
    refused(early, 403, "denied", "function f is valid from");
    let late = client.push_changed(|manifest| manifest.not_after = Some(hour_ago));
    refused(late, 403, "denied", "function f was valid until");
    let elsewhere = client.push_changed(|manifest| manifest.world[0] ^= 1);
    refused(elsewhere, 400, "bad_config", "was built against another contract");
    let in_time = client.push_changed(|manifest| {
        (manifest.not_before, manifest.not_after) = (Some(hour_ago), Some(in_an_hour));
    });
    good::<api::FunctionInfo>(in_time);
}

/// A component that imports an interface that the contract does not have.
fn with_import() -> Vec<u8> {
    let name = b"wasi:sockets/tcp@0.2.0";
    let name_len = u8::try_from(name.len()).expect("a short name");
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    // Section 7: one type, an instance without exports. Section 10: it is imported under the name.
    bytes.extend_from_slice(&[7, 3, 1, 0x42, 0]);
    bytes.extend_from_slice(&[10, name_len + 5, 1, 0, name_len]);
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(&[5, 0]);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn components_against_the_contract_and_malformed_manifests_are_refused() {
    let client = client().await;
    let push = |frame: Vec<u8>, component: &[u8]| {
        let signature = sign(&client.key, &frame);
        let signed = SignedManifest { manifest: frame, key: client.key.id(), signature };
        client.push(&body(&encode(&signed).expect("it fits"), component))
    };
    for (component, words) in [
        (&b"\0asm\x01\0\0\0"[..], "core module"),
        (b"", "empty"),
        (b"\0asm\x0d\0\x01\0\x05\x03", "function f"),
        (&with_import(), "wasi:sockets/tcp@0.2.0"),
    ] {
        let mut manifest = manifest("f", 5, 1, &client.key);
        manifest.sha256 = controller::deploy::sha256(component);
        let sent = push(encode(&manifest).expect("valid"), component);
        refused(sent, 400, "bad_config", words);
    }
    // Whoever signs can sign nonsense.
    let mut manifest = manifest("f", 5, 1, &client.key);
    manifest.budgets = Budgets { joules: Some(0.625), ..Budgets::default() };
    let frame = encode(&manifest).expect("valid");
    let at = frame.windows(4).position(|four| four == 0.625_f32.to_le_bytes()).expect("there");
    let mut negative = frame.clone();
    negative[at..at + 4].copy_from_slice(&(-1.0_f32).to_le_bytes());
    refused(push(negative, &component(1)), 400, "bad_config", "more than 0 and at most 3.6e6");
    let cut = frame[..frame.len() - 1].to_vec();
    refused(push(cut, &component(1)), 400, "bad_config", "the manifest is refused");
    refused(push(Vec::new(), &component(1)), 400, "bad_config", "no header");
    assert_eq!(client.files(), 0, "nothing of what was refused is kept");
}

/// The upload of a function that is no component.
fn program(client: &Client, version: u64, head: &str, bytes: &[u8]) -> Vec<u8> {
    let text = format!(
        "[function]\nname = \"f\"\nversion = {version}\n{head}\nlimits = {{ deadline_ms = 1000 }}\n"
    );
    let said: FunctionFile = toml::from_str(&text).expect("a good file");
    upload_of(&said, bytes, &client.key).expect("an upload")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_and_a_kernel_are_taken_and_corrupted_models_refused() {
    let client = client().await;
    let onnx = "kind = \"onnx\"";
    let model: api::FunctionInfo = good(client.push(&program(&client, 1, onnx, MODEL)));
    assert_eq!((model.code.as_str(), model.bytes), ("onnx", MODEL.len() as u64));
    assert!(model.imports.is_empty());
    let kept = client.files();
    assert_eq!(kept, 2, "the model and its signed manifest");
    // Signed by somebody who skipped the check: the controller looks itself.
    let (half, wasm) = (&MODEL[..MODEL.len() / 2], component(1));
    for bytes in [half, b"", &wasm] {
        let sent = client.push_program(2, Code::Onnx, bytes);
        refused(sent, 400, "bad_config", "function f: the model is refused: ");
    }
    let other = client.push_program(2, Code::Named("kernel/fft".to_owned()), b"");
    refused(other, 400, "bad_config", "\"kernel/fft\" is no kernel; there are kernel/matmul");
    assert_eq!(client.files(), kept, "nothing of what was refused is kept");

    let named = "kind = \"named\"\nruns = \"kernel/matmul\"";
    let kernel: api::FunctionInfo = good(client.push(&program(&client, 2, named, b"")));
    assert_eq!((kernel.code.as_str(), kernel.bytes), ("kernel/matmul", 0));
}

/// What [`SigningKey::sign_manifest`] would answer if it took anything.
fn sign(key: &SigningKey, frame: &[u8]) -> Signature {
    let dir = tempfile::tempdir().expect("a directory");
    let text = std::fs::read_to_string(key.save(dir.path()).expect("a file")).expect("text");
    let digits = text.split_whitespace().last().expect("a secret");
    let mut secret = [0; 32];
    for (at, byte) in secret.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).expect("digits");
    }
    let secret = ed25519_dalek::SigningKey::from_bytes(&secret);
    Signature::from_bytes(&secret.sign(&SignedManifest::signed_bytes(frame)).to_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_are_looked_at_first() {
    let client = client().await;
    refused(client.push(b""), 400, "bad_config", "ends within its length");
    refused(client.push(&[0, 0, 1, 0, 7]), 400, "bad_config", "ends within its signed manifest");
    let long = [0, 2, 0, 0x81, 0];
    refused(client.push(&long), 413, "too_large", "the signed manifest has 131201 bytes");
    let large = body(b"", &vec![0; 4 * 1024 * 1024 + 1]);
    refused(client.push(&large), 413, "too_large", "the component has 4194305 bytes");
    let other = client.post("/functions", "application/wasm", &component(1));
    refused(other, 400, "bad_request", UPLOAD_TYPE);
    // What declares four gigabytes is refused before a byte of it has come.
    let answer = raw(&client, "content-length: 4294967296", b"");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains(&format!("it has at most {UPLOAD_BYTES_MAX}")), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_upload_ends_and_leaves_nothing() {
    let client = client().await;
    let whole = upload("f", 1, 1, &client.key);
    let head = format!("content-length: {}", whole.len());
    let answer = raw(&client, &head, &whole[..whole.len() - 1]);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(
        answer.contains(&format!("{0} of {1} bytes", whole.len() - 1, whole.len())),
        "{answer}"
    );
    assert_eq!(client.files(), 0);
    // The next one is taken.
    good::<api::FunctionInfo>(client.push(&whole));
    assert_eq!(client.files(), 2);
}

/// Sends the head of an upload and some bytes, then waits for the answer and for the end.
fn raw(client: &Client, head: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(&client.address).expect("a server");
    let head = format!(
        "POST {PREFIX}/functions HTTP/1.1\r\nhost: {}\r\ncontent-type: {UPLOAD_TYPE}\r\n{head}\r\n\r\n",
        client.address
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(bytes).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_function_does_not_come_back_older() {
    let client = client().await;
    refused(client.delete("/functions/f"), 404, "not_found", "f");
    for name in ["ingest", "extract", "f"] {
        good::<api::FunctionInfo>(client.push(&upload(name, 2, 1, &client.key)));
    }
    let workflow = serde_json::to_vec(&support::workflow()).expect("JSON");
    good::<api::WorkflowInfo>(client.post("/workflows", "application/json", &workflow));
    refused(client.delete("/functions/ingest"), 409, "conflict", "is used by flood");
    let gone: api::FunctionInfo = good(client.delete("/functions/f"));
    assert_eq!(gone.name.as_str(), "f");
    let list: api::FunctionList = client.get("/functions");
    assert_eq!(list.functions.len(), 2);
    let older = client.push(&upload("f", 1, 1, &client.key));
    refused(older, 409, "conflict", "version 1 is lower than 2");
    good::<api::FunctionInfo>(client.push(&upload("f", 2, 1, &client.key)));
}

/// The checks of an upload by themselves.
fn check(controller: &Controller, now: Now, body: &[u8]) -> Result<(), String> {
    let upload = Upload::of(body).map_err(|error| error.to_string())?;
    let manifest = open(controller.signer_book(), upload.signed);
    let manifest = manifest.map_err(|error| error.to_string())?;
    let gate: Gate = controller.gate(now, &manifest.name);
    gate.check(&manifest, upload).map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn signers_and_versions_outlive_the_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let now = Now { instant: types::Instant(0), wall: WallTime(now().unix_ns()) };
    let (trusted, gone) = (key(), key());
    {
        let store = Store::open(dir.path()).expect("a directory");
        let mut first =
            Controller::new(support::config(true), LeaderEpoch(1), Saved::default(), now);
        for key in [&trusted, &gone] {
            first.trust(now, key.name().clone(), key.public()).expect("a key");
        }
        first.revoke(now, gone.id()).expect("a known key");
        let body = upload("f", 7, 1, &trusted);
        let taken = Upload::of(&body).expect("whole");
        let manifest = open(first.signer_book(), taken.signed).expect("signed");
        let function = first.gate(now, &manifest.name).check(&manifest, taken).expect("good");
        first.push(now, function).expect("the newest");
        first.remove(now, &FunctionId::new("f").expect("a name")).expect("nobody uses it");
        store.save(first.save()).expect("room");
    }
    let saved = Store::open(dir.path()).expect("free again").load().expect("what was saved");
    let second = Controller::new(support::config(true), LeaderEpoch(2), saved, now);
    let list = second.signers();
    assert_eq!((list.epoch, list.serial, list.revoked), (LeaderEpoch(2), 3, vec![gone.id()]));
    assert_eq!(list.trusted.len(), 1);
    assert_eq!(check(&second, now, &upload("f", 7, 1, &trusted)), Ok(()));
    let lower = check(&second, now, &upload("f", 6, 1, &trusted)).unwrap_err();
    assert!(lower.contains("lower than 7"), "{lower}");
    let revoked = check(&second, now, &upload("f", 8, 1, &gone)).unwrap_err();
    assert!(revoked.contains("was revoked"), "{revoked}");
}
