//! Another program for an agent: fetched over cuts and kills, tried, kept or given up. The new versions are copies of the real program that say a
//! higher number, and programs that are broken.

use std::collections::BTreeMap;
use std::process::Command as Process;
use std::sync::{Arc, Mutex, OnceLock};

use agent::life::release::{OWN_ARCH, key_id};
use ed25519_dalek::{Signer as _, SigningKey};
use protocol::backlog::Receipt;
use protocol::command::{Command, CommandReply, CommandVerdict, Verb};
use protocol::event::{EventKind, UpdateStep};
use protocol::module::{MODULE_CHUNK_BYTES, ModuleQuery};
use protocol::release::{
    PROGRAM_BYTES_MAX, ProgramChunk, ProgramFacts, Release, STAMP, SignedRelease,
};
use protocol::report::{LifeReport, Report, ReportBody};
use protocol::signed::Signature;
use protocol::{decode, encode};
use types::{Arch, Epoch, LeaderEpoch};
use zenoh::Wait as _;

use crate::signing::sha256;
use crate::support::{Agent, Session, eventually, keys, node, say};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// What an agent says in its configuration: the key of these tests, and starts that prove themselves soon.
fn config() -> String {
    let digits: String =
        key(1).verifying_key().to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[start]\nhealthy_s = 1\n[update]\nkeys = [\"{digits}\"]\n")
}

/// What the program under test says of itself, and its bytes, stripped of its symbols where that is possible.
fn real() -> &'static (Vec<u8>, ProgramFacts) {
    static REAL: OnceLock<(Vec<u8>, ProgramFacts)> = OnceLock::new();
    REAL.get_or_init(|| {
        let program = env!("CARGO_BIN_EXE_starbelt-agent");
        let dir = tempfile::tempdir().expect("a writable directory");
        let stripped = dir.path().join("stripped");
        let strip = Process::new("strip").args(["-s", "-o"]).arg(&stripped).arg(program).status();
        let bytes = match strip {
            Ok(status) if status.success() => std::fs::read(&stripped),
            Ok(_) | Err(_) => std::fs::read(program),
        };
        let bytes = bytes.expect("the agent is built");
        let facts = ProgramFacts::read(&bytes).expect("it says what it is");
        (bytes, facts)
    })
}

/// Whether the program can travel here; says why a test is skipped if not.
fn fits(test: &str) -> bool {
    let bytes = real().0.len();
    let fits = u32::try_from(bytes).is_ok_and(|bytes| bytes <= PROGRAM_BYTES_MAX);
    if !fits {
        say(&format!("skipped: {test}: the program has {bytes} bytes and nothing strips it here"));
    }
    fits
}

/// The real program as a later build: its number is higher by so much.
fn later(more: u64) -> Vec<u8> {
    let (bytes, facts) = real();
    let said = |number: u64| format!("{STAMP}{} {number};", facts.version).into_bytes();
    let (old, new) = (said(facts.number), said(facts.number + more));
    assert_eq!(old.len(), new.len());
    let mut bytes = bytes.clone();
    let ats: Vec<_> =
        bytes.windows(old.len()).enumerate().filter(|(_, w)| *w == old).map(|(at, _)| at).collect();
    assert!(!ats.is_empty());
    for at in ats {
        bytes[at..at + new.len()].copy_from_slice(&new);
    }
    bytes
}

/// A program that the system starts and that dies at once: one instruction that is none, on so many bytes.
fn dying(more: u64, bytes: usize) -> Vec<u8> {
    let (_, facts) = real();
    let (machine, code): (u16, [u8; 4]) = match OWN_ARCH {
        Arch::Arm64 => (183, [0, 0, 0, 0]),
        Arch::X86_64 => (62, [0x0f, 0x0b, 0x0f, 0x0b]),
        Arch::Armv7 | Arch::Riscv64 => (243, [0, 0, 0, 0]),
    };
    let base = 0x40_0000_u64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend(2_u16.to_le_bytes());
    file.extend(machine.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    // Entry, program headers behind this one, no sections.
    file.extend((base + 120).to_le_bytes());
    file.extend(64_u64.to_le_bytes());
    file.extend([0; 12]);
    for half in [64_u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    // One segment, to be read and executed: all of the file.
    file.extend(1_u32.to_le_bytes());
    file.extend(5_u32.to_le_bytes());
    let all = u64::try_from(bytes).expect("a few megabytes");
    for word in [0, base, base, all, all, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file.extend(format!("{STAMP}{} {};", facts.version, facts.number + more).bytes());
    file.resize(bytes, 0xa5);
    file
}

/// A program whose interpreter is nowhere, as one that was linked for another C library: the system does not start it.
fn foreign(more: u64, bytes: usize) -> Vec<u8> {
    let mut file = dying(more, bytes);
    let name = b"/nowhere/ld.so\0";
    let at = bytes - name.len();
    file[at..].copy_from_slice(name);
    // Its only segment (at 64) names the interpreter: PT_INTERP, where, and how long.
    file[64..68].copy_from_slice(&3_u32.to_le_bytes());
    let word = |number: usize| u64::try_from(number).expect("a few megabytes").to_le_bytes();
    file[72..80].copy_from_slice(&word(at));
    file[96..104].copy_from_slice(&word(name.len()));
    file
}

fn release_of(program: &[u8], number: u64) -> Release {
    Release {
        number,
        version: real().1.version.clone(),
        arch: OWN_ARCH,
        sha256: sha256(program),
        bytes: u32::try_from(program.len()).expect("it fits"),
        key: key_id(&key(1).verifying_key().to_bytes()),
        may_be_older: false,
    }
}

fn sign(release: &Release, seed: u8) -> Vec<u8> {
    let release = encode(release).expect("a valid release");
    let signature = key(seed).sign(&SignedRelease::signed_bytes(&release)).to_bytes();
    let signature = Signature::from_bytes(&signature);
    let key = key_id(&key(seed).verifying_key().to_bytes());
    encode(&SignedRelease { release, key, signature }).expect("it fits")
}

/// What the controller of a test does with programs and receipts.
#[derive(Default)]
struct Serving {
    programs: BTreeMap<[u8; 32], Vec<u8>>,
    /// Answers are given up to this offset only.
    through: Option<u32>,
    /// This byte is turned in whatever is given.
    turned: Option<usize>,
    /// Every question, in order.
    offsets: Vec<u32>,
    gives_receipts: bool,
}

struct Bed {
    agent: Agent,
    /// After the agent, whose log is told when a test fails.
    dir: tempfile::TempDir,
    controller: Session,
    serving: Arc<Mutex<Serving>>,
    commands: u64,
}

impl Bed {
    fn start(extra: &str) -> Self {
        let dir = tempfile::tempdir().expect("a writable directory");
        let agent = Agent::start(dir.path(), "sat-1", &[], extra);
        let controller = Session::controller(&[agent.port], &[]);
        let serving = Serving { gives_receipts: true, ..Serving::default() };
        let serving = Arc::new(Mutex::new(serving));
        serve(&controller, &serving);
        let bed = Self { dir, agent, controller, serving, commands: 0 };
        bed.controller
            .event("started", |event| matches!(event.kind, EventKind::Started(_)).then_some(()));
        bed
    }

    fn has(&self, program: &[u8]) {
        let mut serving = self.serving.lock().expect("no panic");
        serving.programs.insert(sha256(program), program.to_vec());
    }

    fn command(&mut self, verb: Verb) -> CommandVerdict {
        self.commands += 1;
        self.again(self.commands, verb)
    }

    fn again(&self, id: u64, verb: Verb) -> CommandVerdict {
        let deadline = Epoch::from_unix_ns(i64::MAX);
        let (node, epoch) = (self.agent.name.clone(), LeaderEpoch(1));
        let command = Command { id, seq: id, epoch, node, deadline, verb };
        let key = keys().command(&self.agent.name, id);
        let frame = encode(&command).expect("a valid message");
        self.controller.answer::<CommandReply>(&key, &frame).verdict
    }

    /// How a program of that number went, in order, as far as it was told.
    fn steps(&self, number: u64) -> Vec<UpdateStep> {
        let events = self.controller.events_of(&self.agent.name);
        let step = |kind: &EventKind| match kind {
            EventKind::Update { number: of, step, .. } if *of == number => Some(*step),
            _ => None,
        };
        events.iter().filter_map(step).collect()
    }

    /// Waits until a program came to its end; why it did.
    #[track_caller]
    fn end_of(&self, number: u64, end: UpdateStep) -> String {
        self.controller.event("the end of an update", |event| match &event.kind {
            EventKind::Update { number: of, step, reason, .. } if *of == number && *step == end => {
                Some(reason.clone())
            }
            _ => None,
        })
    }

    /// The newest report of the program.
    fn life(&self) -> Option<LifeReport> {
        let reports = self.controller.reports();
        reports.iter().rev().find_map(|report| match &report.body {
            ReportBody::Life(life) => Some(life.clone()),
            _ => None,
        })
    }

    /// Waits until the program with that number runs.
    #[track_caller]
    fn runs(&self, number: u64, is_packaged: bool) {
        // What was reported before is of a program before.
        let before = self.controller.reports().len();
        eventually("the program that runs", || {
            let reports = self.controller.reports();
            let is_it =
                |life: &LifeReport| (life.number, life.is_packaged) == (number, is_packaged);
            let of_life = |report: &Report| match &report.body {
                ReportBody::Life(life) => is_it(life).then_some(()),
                _ => None,
            };
            reports.iter().skip(before).find_map(of_life)
        });
    }

    /// Starts the agent again whenever it has ended, as the service manager does, until something is told.
    #[track_caller]
    fn tended<T>(&mut self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        eventually(what, || {
            if let Some(status) = self.agent.has_ended() {
                assert!(!status.success(), "it was not told to end");
                self.agent.restart();
            }
            look(self)
        })
    }

    fn files(&self) -> Vec<String> {
        let slots = self.dir.path().join("sat-1-store/slots");
        let mut files: Vec<String> = ["a", "b"]
            .iter()
            .flat_map(|slot| std::fs::read_dir(slots.join(slot)).into_iter().flatten().flatten())
            .map(|file| file.path().strip_prefix(&slots).expect("below").display().to_string())
            .collect();
        files.sort();
        files
    }
}

fn update(release: Vec<u8>) -> Verb {
    Verb::Update { release, within_s: 30, is_rehearsal: false }
}

fn serve(session: &Session, serving: &Arc<Mutex<Serving>>) {
    let given = Arc::clone(serving);
    let answer = move |query: zenoh::query::Query| {
        let frame = query.payload().map(|p| p.to_bytes().into_owned()).unwrap_or_default();
        let Ok(ModuleQuery { sha256, offset }) = decode(&frame) else { return };
        let mut serving = given.lock().expect("no panic");
        serving.offsets.push(offset);
        if serving.through.is_some_and(|through| through <= offset) {
            return;
        }
        let chunk = serving.programs.get(&sha256).map_or(ProgramChunk::NotFound, |program| {
            let from = usize::try_from(offset).expect("it fits");
            let to = (from + MODULE_CHUNK_BYTES).min(program.len());
            let mut bytes = program[from..to].to_vec();
            if let Some(turned) = serving.turned.filter(|at| (from..to).contains(at)) {
                bytes[turned - from] ^= 1;
            }
            ProgramChunk::Part { total: u32::try_from(program.len()).expect("it fits"), bytes }
        });
        drop(serving);
        query.reply(query.key_expr().clone(), encode(&chunk).expect("it fits")).wait().ok();
    };
    let declared = session.zenoh.declare_queryable(keys().programs()).callback(answer);
    declared.background().wait().expect("a key");
    let given = Arc::clone(serving);
    let receipt = move |query: zenoh::query::Query| {
        if !given.lock().expect("no panic").gives_receipts {
            return;
        }
        let receipt = Receipt {
            controller: node("controller"),
            reports_through: 0,
            reports_seen: 0,
            events_through: 0,
            late_through: None,
        };
        query.reply(query.key_expr().clone(), encode(&receipt).expect("it fits")).wait().ok();
    };
    let declared = session.zenoh.declare_queryable(keys().backlogs()).callback(receipt);
    declared.background().wait().expect("a key");
}

#[track_caller]
fn denied(verdict: &CommandVerdict) -> &str {
    match verdict {
        CommandVerdict::Denied { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_newer_program_is_tried_kept_and_followed_by_the_next_one() {
    if !fits("a_newer_program_is_tried_kept_and_followed_by_the_next_one") {
        return;
    }
    let mut bed = Bed::start(&config());
    let own = real().1.number;
    let pid = bed.agent.pid();
    for (more, file) in [(1, "a/starbelt-agent"), (2, "b/starbelt-agent")] {
        let program = later(more);
        bed.has(&program);
        let verb = || update(sign(&release_of(&program, own + more), 1));
        let rehearsal = Verb::Update {
            release: sign(&release_of(&program, own + more), 1),
            within_s: 30,
            is_rehearsal: true,
        };
        assert_eq!(bed.command(rehearsal), CommandVerdict::Done);
        assert_eq!(bed.command(verb()), CommandVerdict::Scheduled);
        bed.end_of(own + more, UpdateStep::Fetched);
        bed.end_of(own + more, UpdateStep::Committed);
        bed.runs(own + more, false);
        let expected =
            [UpdateStep::Ordered, UpdateStep::Fetched, UpdateStep::OnTrial, UpdateStep::Committed];
        assert_eq!(bed.steps(own + more), expected);
        assert!(bed.files().contains(&file.to_owned()), "{:?}", bed.files());
        // The same again, in words of the program that runs now.
        assert_eq!(bed.again(bed.commands, verb()), CommandVerdict::Done);
        assert_eq!(bed.command(verb()), CommandVerdict::Done);
    }
    assert_eq!(bed.agent.pid(), pid, "the service manager sees one process");
    assert!(bed.files().len() <= 2, "{:?}", bed.files());
    bed.agent.kill();
    bed.agent.restart();
    bed.runs(own + 2, false);
    assert_eq!(bed.agent.terminate().code(), Some(0));
    bed.agent.restart();
    // A damaged file is found before it is started; the packaged program is there.
    bed.agent.kill();
    let path = bed.dir.path().join("sat-1-store/slots/b/starbelt-agent");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    bed.agent.restart();
    let reason = bed.end_of(own + 2, UpdateStep::RolledBack);
    assert!(reason.contains("not what was signed"), "{reason}");
    bed.runs(own, true);
}

#[test]
fn without_a_receipt_a_program_is_given_up_in_its_time() {
    if !fits("without_a_receipt_a_program_is_given_up_in_its_time") {
        return;
    }
    let mut bed = Bed::start(&config());
    let own = real().1.number;
    let program = later(1);
    bed.has(&program);
    bed.serving.lock().unwrap().gives_receipts = false;
    let release = sign(&release_of(&program, own + 1), 1);
    let verb = || Verb::Update { release: release.clone(), within_s: 10, is_rehearsal: false };
    assert_eq!(bed.command(verb()), CommandVerdict::Scheduled);
    bed.end_of(own + 1, UpdateStep::Fetched);
    let reason = bed.end_of(own + 1, UpdateStep::RolledBack);
    assert!(reason.contains("no receipt"), "{reason}");
    bed.runs(own, true);
    let verdict = bed.again(bed.commands, verb());
    assert!(denied(&verdict).contains("given up"), "{verdict:?}");
    let expected =
        [UpdateStep::Ordered, UpdateStep::Fetched, UpdateStep::OnTrial, UpdateStep::RolledBack];
    assert_eq!(bed.steps(own + 1), expected);
}

#[test]
fn a_program_that_dies_is_given_up_after_its_starts() {
    let mut bed = Bed::start(&config());
    let own = real().1.number;
    let program = dying(1, 300_000);
    bed.has(&program);
    let verb = update(sign(&release_of(&program, own + 1), 1));
    assert_eq!(bed.command(verb), CommandVerdict::Scheduled);
    let mut ends = 0;
    let mut pid = bed.agent.pid();
    let reason = bed.tended("the end of the trial", |bed| {
        ends += u32::from(std::mem::replace(&mut pid, bed.agent.pid()) != bed.agent.pid());
        let events = bed.controller.events_of(&bed.agent.name);
        events.into_iter().find_map(|kind| match kind {
            EventKind::Update { step: UpdateStep::RolledBack, reason, .. } => Some(reason),
            _ => None,
        })
    });
    assert_eq!(ends, 3, "so many starts it had");
    assert!(reason.contains("starts"), "{reason}");
    bed.runs(own, true);
}

#[test]
fn what_the_system_does_not_start_is_given_up_at_once() {
    let mut bed = Bed::start(&config());
    let own = real().1.number;
    let pid = bed.agent.pid();
    let program = foreign(1, 300_000);
    bed.has(&program);
    let verb = update(sign(&release_of(&program, own + 1), 1));
    assert_eq!(bed.command(verb), CommandVerdict::Scheduled);
    let reason = bed.end_of(own + 1, UpdateStep::RolledBack);
    assert!(reason.contains("cannot be started"), "{reason}");
    bed.runs(own, true);
    assert_eq!((bed.agent.pid(), bed.agent.has_ended()), (pid, None), "nobody had to start it");
}

#[test]
fn a_program_that_refuses_the_configuration_is_given_up() {
    if !fits("a_program_that_refuses_the_configuration_is_given_up") {
        return;
    }
    let mut bed = Bed::start(&config());
    let own = real().1.number;
    let program = later(1);
    bed.has(&program);
    bed.serving.lock().unwrap().through = Some(0);
    let verb = update(sign(&release_of(&program, own + 1), 1));
    assert_eq!(bed.command(verb), CommandVerdict::Scheduled);
    // Any program refuses this one: that on trial first, then the one before, which ends for good.
    let good = std::fs::read_to_string(bed.agent.config()).unwrap();
    std::fs::write(bed.agent.config(), format!("nonsense = 1\n{good}")).unwrap();
    bed.serving.lock().unwrap().through = None;
    let status = eventually("its end", || bed.agent.has_ended());
    assert_eq!(status.code(), Some(78));
    std::fs::write(bed.agent.config(), good).unwrap();
    bed.agent.restart();
    let reason = bed.end_of(own + 1, UpdateStep::RolledBack);
    assert!(reason.contains("unknown key"), "{reason}");
    bed.runs(own, true);
}

#[test]
fn a_transfer_goes_on_after_a_cut_and_a_kill_at_any_piece() {
    let mut bed = Bed::start(&config());
    let own = real().1.number;
    let pieces = 6;
    let piece = u32::try_from(MODULE_CHUNK_BYTES).unwrap();
    let program = foreign(1, pieces * MODULE_CHUNK_BYTES - 1000);
    bed.has(&program);
    bed.serving.lock().unwrap().through = Some(0);
    let verb = update(sign(&release_of(&program, own + 1), 1));
    assert_eq!(bed.command(verb), CommandVerdict::Scheduled);
    for cut in 1..u32::try_from(pieces).unwrap() {
        {
            let mut serving = bed.serving.lock().unwrap();
            serving.through = Some(cut * piece);
            serving.offsets.clear();
        }
        let serving = Arc::clone(&bed.serving);
        eventually("a question behind the cut", || {
            serving.lock().unwrap().offsets.contains(&(cut * piece)).then_some(())
        });
        let first = serving.lock().unwrap().offsets[0];
        assert!((cut - 1) * piece <= first + piece, "cut {cut}: it began at {first}");
        bed.agent.kill();
        bed.serving.lock().unwrap().offsets.clear();
        bed.agent.restart();
        eventually("the first question of the next start", || {
            let first = *serving.lock().unwrap().offsets.first()?;
            // Of what was whole, the last piece may have been torn.
            assert!(first == (cut - 1) * piece, "cut {cut}: it goes on at {first}");
            Some(())
        });
        if cut == 2 {
            let have = eventually("a report of what is here", || {
                let update = bed.life()?.update?;
                (update.have == 2 * piece && update.step == UpdateStep::Ordered).then_some(update)
            });
            assert_eq!(have.bytes, u32::try_from(program.len()).unwrap());
        }
    }
    bed.serving.lock().unwrap().through = None;
    bed.end_of(own + 1, UpdateStep::Fetched);
    bed.end_of(own + 1, UpdateStep::RolledBack);
    bed.runs(own, true);
}

#[test]
fn a_turned_byte_is_never_started() {
    let mut bed = Bed::start(&config());
    let own = real().1.number;
    let program = dying(1, 300_000);
    bed.has(&program);
    bed.serving.lock().unwrap().turned = Some(290_000);
    let verb = update(sign(&release_of(&program, own + 1), 1));
    assert_eq!(bed.command(verb), CommandVerdict::Scheduled);
    let reason = bed.end_of(own + 1, UpdateStep::Refused);
    assert!(reason.contains("SHA-256"), "{reason}");
    assert_eq!(bed.steps(own + 1), [UpdateStep::Ordered, UpdateStep::Refused]);
    assert_eq!(bed.files(), Vec::<String>::new());
    assert_eq!(bed.agent.has_ended(), None);
}

#[test]
fn what_is_signed_and_no_program_for_this_node_is_never_started() {
    let mut bed = Bed::start(&config());
    let own = real().1.number;
    let other = if OWN_ARCH == Arch::X86_64 { 183_u16 } else { 62 };
    let mut of_another = dying(1, 300_000);
    of_another[18..20].copy_from_slice(&other.to_le_bytes());
    let script = b"#!/bin/sh\nexec sleep 1000\n".to_vec();
    let claimed = dying(7, 300_000);
    for (number, program, words) in [
        (own + 1, of_another, "this node is"),
        (own + 2, script, "no program of Linux"),
        (own + 3, claimed, "signed is"),
    ] {
        bed.has(&program);
        let verb = update(sign(&release_of(&program, number), 1));
        assert_eq!(bed.command(verb), CommandVerdict::Scheduled);
        let reason = bed.end_of(number, UpdateStep::Refused);
        assert!(reason.contains(words), "{reason}");
    }
    assert_eq!(bed.files(), Vec::<String>::new());
    assert_eq!(bed.agent.has_ended(), None);
}

#[test]
fn orders_that_are_not_allowed_change_nothing() {
    let mut bed = Bed::start(&config());
    let own = real().1.number;
    let program = dying(1, 300_000);
    let good = || release_of(&program, own + 1);
    let other = if OWN_ARCH == Arch::X86_64 { Arch::Arm64 } else { Arch::X86_64 };
    let of_another = Release { key: key_id(&key(2).verifying_key().to_bytes()), ..good() };
    let mut tampered = sign(&good(), 1);
    tampered[10] ^= 1;
    for (release, words) in [
        (sign(&of_another, 2), "does not name"),
        (tampered, "refused"),
        (sign(&Release { arch: other, ..good() }, 1), "this node is"),
        (sign(&Release { number: own - 1, ..good() }, 1), "is lower than"),
        (sign(&Release { number: own, ..good() }, 1), "other content"),
    ] {
        let verdict = bed.command(update(release));
        let reason = denied(&verdict);
        assert!(reason.contains(words) || words == "refused", "{reason} for {words}");
    }
    let older = Release { number: own - 1, may_be_older: true, ..good() };
    let verb = Verb::Update { release: sign(&older, 1), within_s: 30, is_rehearsal: true };
    assert_eq!(bed.command(verb), CommandVerdict::Done, "signed as one that may be older");
    assert_eq!(bed.files(), Vec::<String>::new());
    assert!(bed.life().is_none(), "nothing to tell");
    let mut nobody = Bed::start("");
    let verdict = nobody.command(update(sign(&good(), 1)));
    assert!(denied(&verdict).contains("names no key"), "{verdict:?}");
    assert!(!nobody.dir.path().join("sat-1-store/slots").exists());
}
