//! Manifests: the largest that the rules allow, one step beyond each of them, and what is signed.

pub(crate) mod sample;

use protocol::manifest::slots::{
    BUDGET_CALLS_MAX, BUDGET_CPU_MS_MAX, BUDGET_JOULES_MAX, Budgets, DEVICES_MAX, DataClass,
    DataPolicy, DeviceNeed, EVERY_MS_MAX, FailurePolicy, Needs, Payload, Preference, REGIONS_MAX,
    RETRIES_MAX, Sharing, Trigger, WARM_CALLS_MAX, WARM_IDLE_MS_MAX, Warm,
};
use protocol::manifest::{
    Capability, Code, ENTRIES_MAX, Exec, ExecFacts, Grants, LABEL_BYTES_MAX, Limits, Manifest,
    Probe, ResourceProfile, SLOTS_MAX, Slo, Switch, Variant,
};
use protocol::signed::{
    FUNCTION_DOMAIN, KeyId, REVOKED_MAX, SIGNERS_MAX, Signature, SignedManifest, Signer, Signers,
};
use protocol::{Message as _, decode, encode};
use types::{
    Backend, Epoch, ExecutionMode, FunctionId, KeyName, LeaderEpoch, MiB, MilliCpu,
    ResourceProfileId, StateKey, TenantId,
};

use crate::maxima::{fits, is_refused, name, text};

const LATEST: Epoch = Epoch::from_unix_ns(i64::MAX);

fn label() -> String {
    text(LABEL_BYTES_MAX)
}

/// The longest label, another one for each number.
fn numbered(number: usize) -> String {
    format!("{number:0>LABEL_BYTES_MAX$}")
}

fn tenant(number: usize) -> TenantId {
    TenantId::new(&name(number)).expect("a valid name")
}

fn key() -> StateKey {
    StateKey::new(&[text(64), text(64), text(64), text(61)].join("/")).expect("a valid key")
}

fn exec() -> Exec {
    Exec {
        chosen: Some(ExecutionMode::Gpu),
        identified: ExecutionMode::Gpu,
        reason: text(512),
        facts: ExecFacts {
            instructions: u64::MAX,
            float_ops: u64::MAX,
            vector_ops: u64::MAX,
            loop_depth_max: u32::MAX,
            weighted_instructions: u64::MAX,
            weighted_flops: u64::MAX,
            weighted_bytes: u64::MAX,
            data_bytes: u64::MAX,
            memory_pages_min: u64::MAX,
        },
        switch: Switch {
            gap_ms: 3_600_000,
            min_rate: 1.0,
            idle_rate: 1.0,
            cold_wait_s: 86_400,
            up_dwell_s: 86_400,
            down_dwell_s: 86_400,
            probe: Some(Probe { share: 1.0, min: 1000, seconds: 86_400 }),
        },
    }
}

/// The largest.
fn manifest() -> Manifest {
    let function = || FunctionId::new(&name(0)).expect("a valid name");
    let profile = |number| ResourceProfile {
        id: ResourceProfileId::new(&name(number)).expect("a valid name"),
        milli_cpu: MilliCpu(u32::MAX),
        memory_mib: MiB(u32::MAX),
    };
    let variant = Variant {
        kind: label(),
        backend: Backend::InferGpu,
        sha256: [0xff; 32],
        accuracy: Some(1.0),
    };
    let device = |number| DeviceNeed { kind: numbered(number), count: DEVICES_MAX };
    let payload = || Some(Payload { schema: label(), content_type: text(128) });
    Manifest {
        name: function(),
        version: u64::MAX,
        sha256: [0xff; 32],
        world: [0xff; 32],
        tenant: TenantId::new(&name(0)).expect("a valid name"),
        key: KeyId([0xff; 8]),
        not_before: Some(LATEST),
        not_after: Some(LATEST),
        limits: Limits { linear_memory_mib: MiB(256), deadline_ms: 30_000 },
        grants: Grants {
            state_prefixes: vec![key(); ENTRIES_MAX],
            topics: vec![label(); ENTRIES_MAX],
            models: vec![label(); ENTRIES_MAX],
            calls: vec![function(); ENTRIES_MAX],
        },
        exec: exec(),
        slo: Some(Slo {
            latency_p95_ms: 3_600_000,
            low_rate_latency_ms: 3_600_000,
            window_s: 86_400,
            throughput_min: Some(1.0),
        }),
        capability: Some(Capability { name: label(), accuracy: Some(1.0) }),
        variants: vec![variant; ENTRIES_MAX],
        profiles: (0..ENTRIES_MAX).map(profile).collect(),
        triggers: vec![Trigger::State { prefix: key() }; SLOTS_MAX],
        needs: Needs {
            services: vec![label(); SLOTS_MAX],
            devices: (0..SLOTS_MAX).map(device).collect(),
        },
        input: payload(),
        output: payload(),
        failure: FailurePolicy { retries: RETRIES_MAX, dead_letter: Some(label()) },
        budgets: Budgets {
            calls: Some(BUDGET_CALLS_MAX),
            cpu_ms: Some(BUDGET_CPU_MS_MAX),
            joules: Some(BUDGET_JOULES_MAX),
        },
        preferences: vec![
            Preference::Latency,
            Preference::Energy,
            Preference::Carbon,
            Preference::Cost,
        ],
        data: DataPolicy { class: DataClass::Restricted, regions: vec![label(); REGIONS_MAX] },
        sharing: Sharing { tenants: (0..SLOTS_MAX).map(tenant).collect(), fuse: true },
        warm: Some(Warm { idle_ms: WARM_IDLE_MS_MAX, calls_max: WARM_CALLS_MAX }),
        code: Code::Component,
    }
}

fn signers() -> Signers {
    let signer = Signer { name: KeyName::new(&name(0)).expect("a valid name"), key: [0xff; 32] };
    Signers {
        epoch: LeaderEpoch(u64::MAX),
        serial: u64::MAX,
        at: LATEST,
        trusted: vec![signer; SIGNERS_MAX],
        revoked: vec![KeyId([0xff; 8]); REVOKED_MAX],
    }
}

#[test]
fn the_largest_manifest_and_list_of_signers_fit_their_frames() {
    fits(&manifest());
    fits(&signers());
    let signature = Signature { r: [0xff; 32], s: [0xff; 32] };
    let manifest = vec![0xff; Manifest::BYTES_MAX];
    fits(&SignedManifest { manifest, key: KeyId([0xff; 8]), signature });
}

#[test]
fn one_more_in_what_a_function_is_and_may_is_refused() {
    let long = || text(LABEL_BYTES_MAX + 1);
    is_refused(manifest(), "prefixes", |m| m.grants.state_prefixes.push(key()));
    is_refused(manifest(), "topic", |m| m.grants.topics[0] = long());
    is_refused(manifest(), "no topic", |m| m.grants.topics[0].clear());
    is_refused(manifest(), "wild topic", |m| m.grants.topics[0] = "alerts/**".to_owned());
    is_refused(manifest(), "model", |m| m.grants.models[0] = long());
    is_refused(manifest(), "calls", |m| m.grants.calls.push(m.name.clone()));
    is_refused(manifest(), "reason", |m| m.exec.reason = text(513));
    is_refused(manifest(), "kind", |m| m.variants[0].kind = long());
    is_refused(manifest(), "accuracy", |m| m.variants[0].accuracy = Some(f32::NAN));
    is_refused(manifest(), "capability", |m| {
        m.capability = Some(Capability { name: long(), accuracy: None });
    });
    is_refused(manifest(), "profile twice", |m| m.profiles[1] = m.profiles[0].clone());
    is_refused(manifest(), "empty profile", |m| m.profiles[0].memory_mib = MiB(0));
    is_refused(manifest(), "memory", |m| m.limits.linear_memory_mib = MiB(257));
    is_refused(manifest(), "time", |m| m.limits.deadline_ms = 0);
    is_refused(manifest(), "gap", |m| m.exec.switch.gap_ms += 1);
    is_refused(manifest(), "rate", |m| m.exec.switch.min_rate = f32::NAN);
    is_refused(manifest(), "dwell", |m| m.exec.switch.up_dwell_s += 1);
    is_refused(manifest(), "probe", |m| {
        m.exec.switch.probe = Some(Probe { share: 1.1, ..Probe::default() });
    });
    is_refused(manifest(), "latency", |m| {
        m.slo = m.slo.map(|slo| Slo { latency_p95_ms: 0, ..slo });
    });
    is_refused(manifest(), "idle below", |m| {
        m.slo = m.slo.map(|slo| Slo { low_rate_latency_ms: 1, ..slo });
    });
    is_refused(manifest(), "window", |m| m.slo = m.slo.map(|slo| Slo { window_s: 0, ..slo }));
    is_refused(manifest(), "ends first", |m| m.not_after = Some(Epoch::from_unix_ns(0)));
}

#[test]
fn one_more_in_what_a_function_asks_for_is_refused() {
    let long = || text(LABEL_BYTES_MAX + 1);
    is_refused(manifest(), "triggers", |m| m.triggers.push(m.triggers[0].clone()));
    for every_ms in [0, 99, EVERY_MS_MAX + 1] {
        is_refused(manifest(), "timer", |m| m.triggers[0] = Trigger::Every { every_ms });
    }
    is_refused(manifest(), "trigger", |m| m.triggers[0] = Trigger::Topic { topic: long() });
    is_refused(manifest(), "service", |m| m.needs.services[0] = long());
    is_refused(manifest(), "services", |m| m.needs.services.push("x".to_owned()));
    is_refused(manifest(), "no device", |m| m.needs.devices[0].count = 0);
    is_refused(manifest(), "many devices", |m| m.needs.devices[0].count += 1);
    is_refused(manifest(), "device", |m| m.needs.devices[0].kind = long());
    is_refused(manifest(), "device twice", |m| m.needs.devices[1] = m.needs.devices[0].clone());
    is_refused(manifest(), "schema", |m| {
        m.input = Some(Payload { schema: long(), content_type: String::new() });
    });
    is_refused(manifest(), "media type", |m| {
        m.output = Some(Payload { schema: "x".to_owned(), content_type: text(129) });
    });
    is_refused(manifest(), "retries", |m| m.failure.retries += 1);
    is_refused(manifest(), "dead letter", |m| m.failure.dead_letter = Some("other".to_owned()));
    is_refused(manifest(), "calls", |m| m.budgets.calls = Some(BUDGET_CALLS_MAX + 1));
    is_refused(manifest(), "no time", |m| m.budgets.cpu_ms = Some(0));
    is_refused(manifest(), "tenants", |m| m.sharing.tenants.push(tenant(SLOTS_MAX)));
    is_refused(manifest(), "a tenant twice", |m| m.sharing.tenants[1] = tenant(0));
    for joules in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        is_refused(manifest(), "joules", |m| m.budgets.joules = Some(joules));
    }
    is_refused(manifest(), "preference", |m| m.preferences.push(Preference::Cost));
    is_refused(manifest(), "regions", |m| m.data.regions.push("eu".to_owned()));
    is_refused(manifest(), "region", |m| m.data.regions[0] = long());
}

#[test]
fn one_more_among_signers_is_refused() {
    is_refused(signers(), "keys", |list| list.trusted.push(list.trusted[0].clone()));
    is_refused(signers(), "revoked", |list| list.revoked.push(KeyId([0; 8])));
    is_refused(sample::signed_manifest(), "manifest", |signed| {
        signed.manifest = vec![0; Manifest::BYTES_MAX + 1];
    });
}

#[test]
fn what_is_signed_is_the_domain_and_the_frame_as_it_is() {
    let signed = sample::signed_manifest();
    assert_eq!(signed.open().as_ref(), Ok(&sample::manifest()));
    let bytes = SignedManifest::signed_bytes(&signed.manifest);
    assert_eq!(&bytes[..FUNCTION_DOMAIN.len()], b"starbelt-fn-v1");
    assert_eq!(bytes[FUNCTION_DOMAIN.len()..], signed.manifest[..]);
    // What travels is what was signed, byte for byte.
    let again: SignedManifest = decode(&encode(&signed).unwrap()).unwrap();
    assert_eq!(again.manifest, signed.manifest);
}

#[test]
fn what_only_a_component_has_is_refused_of_models_and_kernels() {
    let [model, kernel, native] = sample::code_variants().try_into().expect("three of them");
    for program in [&model, &kernel, &native] {
        fits(program);
        let is_refused =
            |what, change: fn(&mut Manifest)| is_refused(program.clone(), what, change);
        is_refused("memory", |m| m.limits.linear_memory_mib = MiB(1));
        is_refused("no time", |m| m.limits.deadline_ms = 0);
        is_refused("a contract", |m| m.world = [1; 32]);
        is_refused("state", |m| m.grants.state_prefixes.push(key()));
        is_refused("topics", |m| m.grants.topics.push("alerts".to_owned()));
        is_refused("models", |m| m.grants.models.push("resnet-18".to_owned()));
        is_refused("calls", |m| m.grants.calls.push(m.name.clone()));
        is_refused("warm", |m| m.warm = Some(Warm { idle_ms: 100, calls_max: 1 }));
        is_refused("fusing", |m| m.sharing.fuse = true);
        assert!(program.fits_world(&[7; 32]) && program.code.is_program());
    }
    is_refused(manifest(), "no memory", |m| m.limits.linear_memory_mib = MiB(0));
    is_refused(kernel.clone(), "bytes", |m| m.sha256 = [0; 32]);
    for name in
        ["", "matmul", "kernel/", "native/", "kernel/a/b", "kernel/a b", "Kernel/a", "/kernel/a"]
    {
        let named = Manifest { code: Code::Named(name.to_owned()), ..kernel.clone() };
        assert!(named.validate().is_err(), "{name:?}");
    }
    let long = format!("kernel/{}", text(LABEL_BYTES_MAX - 6));
    assert!(Manifest { code: Code::Named(long), ..kernel }.validate().is_err());
    let component = sample::manifest();
    assert!(component.fits_world(&component.world) && !component.fits_world(&[7; 32]));
}
