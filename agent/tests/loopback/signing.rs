//! Functions that are signed with a key of the test, and the list that trusts it.

use agent::exec::world;
use ed25519_dalek::{Signer as _, SigningKey};
use protocol::encode;
use protocol::manifest::slots::{Budgets, DataPolicy, FailurePolicy, Needs, Sharing};
use protocol::manifest::{Code, Exec, ExecFacts, Grants, Limits, Manifest, Switch, default_tenant};
use protocol::signed::{KeyId, Signature, SignedManifest, Signer, Signers};
use sha2::{Digest as _, Sha256};
use types::{Epoch, ExecutionMode, FunctionId, KeyName, LeaderEpoch, MiB, StateKey};

/// What the examples keep, as their `function.toml` say.
const STATE: [(&str, &[&str]); 2] =
    [("extract-frames", &["background"]), ("object-det", &["runs", "tracks"])];

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[42; 32])
}

/// The id of the key of the test.
pub(super) fn key_id() -> KeyId {
    let hash = sha256(&key().verifying_key().to_bytes());
    KeyId(hash[..8].try_into().expect("eight"))
}

/// The list of signers with that number: it trusts the key of the test, or has revoked it.
pub(super) fn signers(serial: u64, is_trusted: bool) -> Signers {
    let signer = Signer {
        name: KeyName::new("test").expect("a valid name"),
        key: key().verifying_key().to_bytes(),
    };
    Signers {
        epoch: LeaderEpoch(1),
        serial,
        at: Epoch::from_unix_ns(0),
        trusted: if is_trusted { vec![signer] } else { Vec::new() },
        revoked: if is_trusted { Vec::new() } else { vec![key_id()] },
    }
}

/// What an example is and may do.
pub(super) fn manifest(name: &str, component: &[u8]) -> Manifest {
    let state = STATE.iter().find(|(function, _)| *function == name);
    let prefixes = state.map_or(&[][..], |(_, prefixes)| prefixes);
    let prefix = |text: &&str| StateKey::new(text).expect("a valid key");
    Manifest {
        name: FunctionId::new(name).expect("a valid name"),
        version: 1,
        sha256: sha256(component),
        world: world::hash(),
        tenant: default_tenant(),
        key: key_id(),
        not_before: None,
        not_after: None,
        limits: Limits { linear_memory_mib: MiB(64), deadline_ms: 20_000 },
        grants: Grants {
            state_prefixes: prefixes.iter().map(prefix).collect(),
            ..Grants::default()
        },
        exec: Exec {
            chosen: None,
            identified: ExecutionMode::Cpu,
            reason: String::new(),
            facts: ExecFacts::default(),
            switch: Switch::default(),
        },
        slo: None,
        capability: None,
        variants: Vec::new(),
        profiles: Vec::new(),
        triggers: Vec::new(),
        needs: Needs::default(),
        input: None,
        output: None,
        failure: FailurePolicy::default(),
        budgets: Budgets::default(),
        preferences: Vec::new(),
        data: DataPolicy::default(),
        sharing: Sharing::default(),
        warm: None,
        code: Code::Component,
    }
}

/// The frame of a signed manifest; the same for the same manifest.
pub(super) fn sign(manifest: &Manifest) -> Vec<u8> {
    let frame = encode(manifest).expect("a valid manifest");
    let signature = key().sign(&SignedManifest::signed_bytes(&frame)).to_bytes();
    let signature = Signature::from_bytes(&signature);
    let signed = SignedManifest { manifest: frame, key: key_id(), signature };
    encode(&signed).expect("it fits")
}
