//! Programs of the agent: samples, the numbers of their variants, the largest ones, and one step beyond.

use protocol::Message as _;
use protocol::command::{Command, Verb};
use protocol::event::{Event, EventKind, TEXT_BYTES_MAX, UpdateStep, VERSION_BYTES_MAX};
use protocol::module::MODULE_CHUNK_BYTES;
use protocol::release::{PROGRAM_BYTES_MAX, ProgramChunk, Release, SignedRelease};
use protocol::report::{LifeReport, Report, ReportBody, SafeMode, UpdateReport};
use protocol::signed::{KeyId, Signature};
use types::Arch;

use crate::golden;
use crate::maxima::{fits, is_refused};
use crate::sample::{command, event, report};
use crate::variants::check;

pub(crate) fn release() -> Release {
    Release {
        number: 1_767_225_600,
        version: "0.3.1".to_owned(),
        arch: Arch::Arm64,
        sha256: [0xab; 32],
        bytes: 22_000_000,
        key: KeyId([1, 2, 3, 4, 5, 6, 7, 8]),
        may_be_older: true,
    }
}

pub(crate) fn signed_release() -> SignedRelease {
    SignedRelease {
        release: protocol::encode(&release()).expect("a valid sample"),
        key: KeyId([1, 2, 3, 4, 5, 6, 7, 8]),
        signature: Signature { r: [0xcd; 32], s: [0xef; 32] },
    }
}

pub(crate) fn program_chunk() -> ProgramChunk {
    ProgramChunk::Part { total: 22_000_000, bytes: vec![0x7f, b'E', b'L', b'F'] }
}

fn update() -> Verb {
    let release = protocol::encode(&signed_release()).expect("a valid sample");
    Verb::Update { release, within_s: 600, is_rehearsal: false }
}

fn command_update() -> Command {
    Command { verb: update(), ..command() }
}

fn event_update() -> Event {
    event(EventKind::Update {
        number: 1_767_225_600,
        version: "0.3.1".to_owned(),
        step: UpdateStep::RolledBack,
        reason: "no receipt of the controller".to_owned(),
    })
}

fn event_safe_mode() -> Event {
    event(EventKind::SafeMode { failed: 5, for_s: 600 })
}

fn report_life() -> Report {
    report(ReportBody::Life(LifeReport {
        number: 1_767_225_600,
        is_packaged: true,
        safe_mode: Some(SafeMode { failed: 5, left_s: 590 }),
        update: Some(UpdateReport {
            number: 1_767_225_700,
            version: "0.3.2".to_owned(),
            step: UpdateStep::Ordered,
            have: 262_144,
            bytes: 22_000_000,
            reason: "waits for a contact".to_owned(),
        }),
    }))
}

#[test]
fn they_are_written_as_ever() {
    golden::check(
        "command_update",
        &command_update(),
        include_str!("../golden/command_update.hex"),
    );
    golden::check("event_update", &event_update(), include_str!("../golden/event_update.hex"));
    let safe_mode = include_str!("../golden/event_safe_mode.hex");
    golden::check("event_safe_mode", &event_safe_mode(), safe_mode);
    golden::check("report_life", &report_life(), include_str!("../golden/report_life.hex"));
}

#[test]
fn variants_have_their_numbers() {
    let steps = [
        UpdateStep::Ordered,
        UpdateStep::Fetched,
        UpdateStep::OnTrial,
        UpdateStep::Committed,
        UpdateStep::RolledBack,
        UpdateStep::Refused,
    ];
    let events = steps.map(|step| {
        let (version, reason) = ("1".to_owned(), String::new());
        event(EventKind::Update { number: 3, version, step, reason })
    });
    check("event_update_variants", events, include_str!("../golden/event_update_variants.hex"));
    let verbs = [update(), Verb::Resume].map(|verb| Command { verb, ..command() });
    let golden = include_str!("../golden/command_update_variants.hex");
    check("command_update_variants", verbs, golden);
    let chunks = [program_chunk(), ProgramChunk::NotFound];
    let golden = include_str!("../golden/program_chunk_variants.hex");
    check("program_chunk_variants", chunks, golden);
}

fn largest() -> Release {
    Release {
        number: u64::MAX,
        version: "9".repeat(VERSION_BYTES_MAX),
        arch: Arch::Riscv64,
        sha256: [0xff; 32],
        bytes: PROGRAM_BYTES_MAX,
        key: KeyId([0xff; 8]),
        may_be_older: true,
    }
}

#[test]
fn the_largest_fit_and_one_more_is_refused() {
    fits(&largest());
    is_refused(largest(), "version", |release| release.version.push('9'));
    is_refused(largest(), "version", |release| release.version.clear());
    is_refused(largest(), "bytes", |release| release.bytes += 1);
    is_refused(largest(), "bytes", |release| release.bytes = 0);
    let signed = || SignedRelease { release: vec![0; Release::BYTES_MAX], ..signed_release() };
    fits(&signed());
    is_refused(signed(), "release", |signed| signed.release.push(0));
    let part = |total, bytes| ProgramChunk::Part { total, bytes: vec![0; bytes] };
    fits(&part(PROGRAM_BYTES_MAX, MODULE_CHUNK_BYTES));
    let is_too_much = |chunk: ProgramChunk| chunk.validate().is_err();
    assert!(is_too_much(part(PROGRAM_BYTES_MAX + 1, 1)));
    assert!(is_too_much(part(PROGRAM_BYTES_MAX, MODULE_CHUNK_BYTES + 1)));
}

#[test]
fn an_update_is_bounded() {
    let command = |bytes, within_s| Command {
        verb: Verb::Update { release: vec![0; bytes], within_s, is_rehearsal: true },
        ..command()
    };
    fits(&command(SignedRelease::BYTES_MAX, 86_400));
    for (bytes, within_s) in
        [(SignedRelease::BYTES_MAX + 1, 600), (10, 9), (10, 86_401), (10, u32::MAX)]
    {
        assert!(command(bytes, within_s).validate().is_err(), "{bytes} {within_s}");
    }
    let kind = EventKind::Update {
        number: u64::MAX,
        version: "9".repeat(VERSION_BYTES_MAX),
        step: UpdateStep::Refused,
        reason: "x".repeat(TEXT_BYTES_MAX),
    };
    fits(&event(kind));
    let mut largest = report_life();
    if let ReportBody::Life(LifeReport { update: Some(update), .. }) = &mut largest.body {
        update.reason = "x".repeat(TEXT_BYTES_MAX);
    }
    fits(&largest);
    is_refused(largest, "reason", |report| {
        if let ReportBody::Life(LifeReport { update: Some(update), .. }) = &mut report.body {
            update.reason.push('x');
        }
    });
}
