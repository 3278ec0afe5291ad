//! Manifests for golden bytes.

use protocol::encode;
use protocol::manifest::slots::{
    Budgets, DataClass, DataPolicy, DeviceNeed, FailurePolicy, Needs, Payload, Preference, Sharing,
    Trigger, Warm,
};
use protocol::manifest::{
    Capability, Code, Exec, ExecFacts, Grants, Limits, Manifest, NO_BYTES_SHA256, NO_WORLD, Probe,
    ResourceProfile, Slo, Switch, Variant, default_tenant,
};
use protocol::signed::{KeyId, Signature, SignedManifest, Signer, Signers};
use types::{
    Backend, Epoch, ExecutionMode, FunctionId, KeyName, LeaderEpoch, MiB, MilliCpu, NodeKind,
    ResourceProfileId, StateKey, TenantId,
};

fn key(text: &str) -> StateKey {
    StateKey::new(text).expect("a valid sample")
}

fn function(name: &str) -> FunctionId {
    FunctionId::new(name).expect("a valid sample")
}

fn exec() -> Exec {
    Exec {
        chosen: Some(ExecutionMode::Cpu),
        identified: ExecutionMode::CpuPreferred,
        reason: "scalar loops".to_owned(),
        facts: ExecFacts {
            instructions: 1,
            float_ops: 2,
            vector_ops: 3,
            loop_depth_max: 4,
            weighted_instructions: 5,
            weighted_flops: 6,
            weighted_bytes: 7,
            data_bytes: 8,
            memory_pages_min: 9,
        },
        switch: Switch {
            probe: Some(Probe { share: 0.25, min: 5, seconds: 30 }),
            ..Switch::default()
        },
    }
}

pub(crate) fn manifest() -> Manifest {
    Manifest {
        name: function("object-det"),
        version: 12,
        sha256: [0xcd; 32],
        world: [0xef; 32],
        tenant: default_tenant(),
        key: KeyId([0xab; 8]),
        not_before: Some(Epoch::from_unix_ns(1_000_000_000)),
        not_after: Some(Epoch::from_unix_ns(2_000_000_000)),
        limits: Limits { linear_memory_mib: MiB(32), deadline_ms: 5_000 },
        grants: Grants {
            state_prefixes: vec![key("tracks")],
            topics: vec!["alerts".to_owned()],
            models: vec!["resnet-18".to_owned()],
            calls: vec![function("prepare-ds")],
        },
        exec: exec(),
        slo: Some(Slo {
            latency_p95_ms: 1_000,
            low_rate_latency_ms: 2_000,
            window_s: 600,
            throughput_min: Some(0.5),
        }),
        capability: Some(Capability { name: "detection".to_owned(), accuracy: Some(0.75) }),
        variants: vec![Variant {
            kind: "onnx".to_owned(),
            backend: Backend::InferGpu,
            sha256: [2; 32],
            accuracy: Some(0.5),
        }],
        profiles: vec![ResourceProfile {
            id: ResourceProfileId::new("small").expect("a valid sample"),
            milli_cpu: MilliCpu(500),
            memory_mib: MiB(256),
        }],
        triggers: vec![Trigger::Every { every_ms: 3_000 }],
        needs: Needs {
            services: vec!["tiles".to_owned()],
            devices: vec![DeviceNeed { kind: "thermal-camera".to_owned(), count: 1 }],
        },
        input: Some(Payload { schema: "burst/1".to_owned(), content_type: "image/x".to_owned() }),
        output: None,
        failure: FailurePolicy { retries: 2, dead_letter: Some("alerts".to_owned()) },
        budgets: Budgets { calls: Some(3), cpu_ms: Some(1_500), joules: Some(0.5) },
        preferences: vec![Preference::Energy, Preference::Latency],
        data: DataPolicy { class: DataClass::Confidential, regions: vec!["eu".to_owned()] },
        sharing: Sharing {
            tenants: vec![TenantId::new("other").expect("a valid sample")],
            fuse: true,
        },
        warm: Some(Warm { idle_ms: 30_000, calls_max: 1_000 }),
        code: Code::Component,
    }
}

/// A model, and what a node has itself.
pub(crate) fn code_variants() -> Vec<Manifest> {
    let program = |code, sha256| Manifest {
        sha256,
        world: NO_WORLD,
        limits: Limits { linear_memory_mib: MiB(0), deadline_ms: 5_000 },
        grants: Grants::default(),
        failure: FailurePolicy::default(),
        sharing: Sharing::default(),
        warm: None,
        code,
        ..manifest()
    };
    let named = |name: &str| program(Code::Named(name.to_owned()), NO_BYTES_SHA256);
    vec![program(Code::Onnx, [0xcd; 32]), named("kernel/matmul"), named("native/fft")]
}

/// One with each trigger, preference and class of data.
pub(crate) fn slot_variants() -> Vec<Manifest> {
    let triggers = [
        Trigger::Every { every_ms: 100 },
        Trigger::Topic { topic: "alerts".to_owned() },
        Trigger::State { prefix: key("a/b") },
        Trigger::Contact { kind: NodeKind::GroundStation },
    ];
    let preferences =
        [Preference::Latency, Preference::Energy, Preference::Carbon, Preference::Cost];
    let classes =
        [DataClass::Public, DataClass::Internal, DataClass::Confidential, DataClass::Restricted];
    let all = triggers.into_iter().zip(preferences).zip(classes);
    all.map(|((trigger, preference), class)| Manifest {
        not_before: None,
        not_after: None,
        triggers: vec![trigger],
        preferences: vec![preference],
        budgets: Budgets::default(),
        failure: FailurePolicy::default(),
        data: DataPolicy { class, regions: Vec::new() },
        sharing: Sharing::default(),
        warm: None,
        ..manifest()
    })
    .collect()
}

pub(crate) fn signed_manifest() -> SignedManifest {
    SignedManifest {
        manifest: encode(&manifest()).expect("a valid sample"),
        key: KeyId([0xab; 8]),
        signature: Signature { r: [0x11; 32], s: [0x22; 32] },
    }
}

pub(crate) fn signers() -> Signers {
    Signers {
        epoch: LeaderEpoch(4),
        serial: 7,
        at: Epoch::from_unix_ns(1_000_000_000),
        trusted: vec![Signer {
            name: KeyName::new("laptop").expect("a valid sample"),
            key: [0x33; 32],
        }],
        revoked: vec![KeyId([0xcd; 8])],
    }
}
