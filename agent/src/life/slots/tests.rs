//! Lives of two slots: told step by step, and killed at any moment.

use super::*;

/// The number of the packaged program.
const PACKAGED: u64 = 100;

fn program(number: u64) -> Program {
    let mut sha256 = [0; 32];
    sha256[..8].copy_from_slice(&number.to_le_bytes());
    Program { number, version: format!("0.{number}"), sha256, bytes: 1000, asked: (1, number) }
}

fn ordered(slots: &Slots, number: u64) -> Slots {
    slots.ordered(program(number), 60).unwrap()
}

fn on_trial(slots: &Slots, number: u64) -> Slots {
    ordered(slots, number).fetched(&program(number).sha256, 3, Vec::new()).unwrap()
}

fn beside_the_package() -> Slots {
    Slots::default().choose(PACKAGED).0
}

fn outcome(slots: &Slots) -> Option<(u64, Outcome)> {
    slots.ended.as_ref().map(|ended| (ended.program.number, ended.outcome))
}

#[test]
fn an_update_is_tried_kept_and_replaced_in_the_other_slot() {
    let slots = beside_the_package();
    assert_eq!(slots.choose(PACKAGED).1, Choice::Packaged);
    let (slots, choice) = on_trial(&slots, 101).choose(PACKAGED);
    assert_eq!(choice, Choice::Trial(Slot::A));
    let slots = slots.committed(Slot::A).unwrap();
    assert_eq!((slots.floor, outcome(&slots)), (101, Some((101, Outcome::Committed))));
    assert_eq!(slots.committed(Slot::A), None, "once");
    assert_eq!(slots.rolled_back(Slot::A, "late"), None, "never after it was kept");
    assert_eq!(slots.choose(PACKAGED).1, Choice::Active(Slot::A));
    let (slots, choice) = on_trial(&slots, 102).choose(PACKAGED);
    assert_eq!(choice, Choice::Trial(Slot::B));
    assert_eq!(slots.committed(Slot::A), None, "the other one is on trial");
    let slots = slots.rolled_back(Slot::B, "no receipt").unwrap();
    assert_eq!(slots.choose(PACKAGED).1, Choice::Active(Slot::A));
    assert_eq!((slots.floor, outcome(&slots)), (101, Some((102, Outcome::RolledBack))));
}

#[test]
fn a_program_has_so_many_starts_and_what_does_not_start_has_none() {
    let mut slots = on_trial(&beside_the_package(), 101);
    for _ in 0..3 {
        let (next, choice) = slots.choose(PACKAGED);
        assert_eq!(choice, Choice::Trial(Slot::A));
        slots = next;
    }
    let (slots, choice) = slots.choose(PACKAGED);
    assert_eq!(choice, Choice::Packaged);
    assert_eq!(outcome(&slots), Some((101, Outcome::RolledBack)));
    let (slots, _) = on_trial(&slots, 103).choose(PACKAGED);
    let slots = slots.unusable(Slot::A, "Exec format error");
    assert_eq!(slots.choose(PACKAGED).1, Choice::Packaged);
    assert_eq!(slots.ended.as_ref().unwrap().reason, "Exec format error");
}

#[test]
fn a_kept_program_that_is_damaged_leaves_the_packaged_one() {
    let slots = on_trial(&beside_the_package(), 101).committed(Slot::A).unwrap();
    assert_eq!(slots.unusable(Slot::B, "gone"), slots, "the other slot is nobody's");
    let slots = slots.unusable(Slot::A, "its hash is another");
    assert_eq!(slots.choose(PACKAGED).1, Choice::Packaged);
    assert_eq!(outcome(&slots), Some((101, Outcome::RolledBack)));
    assert_eq!(slots.floor, 101, "and is still the highest that was kept");
}

#[test]
fn a_package_that_is_installed_counts() {
    let kept = on_trial(&beside_the_package(), 101).committed(Slot::A).unwrap();
    for newer_package in [PACKAGED - 1, PACKAGED + 1, 200] {
        let (slots, choice) = kept.choose(newer_package);
        assert_eq!((choice, slots.active.as_ref()), (Choice::Packaged, None));
        assert_eq!(slots.choose(newer_package).1, Choice::Packaged);
        let (slots, choice) = on_trial(&kept, 102).choose(newer_package);
        assert_eq!(choice, Choice::Packaged);
        assert_eq!(outcome(&slots), Some((102, Outcome::RolledBack)));
        let (slots, _) = ordered(&kept, 103).choose(newer_package);
        let refused = Some((103, Outcome::Refused));
        assert_eq!((slots.order.as_ref(), outcome(&slots)), (None, refused));
    }
}

#[test]
fn a_newer_order_replaces_one_under_way_but_nothing_on_trial() {
    let slots = ordered(&ordered(&beside_the_package(), 101), 102);
    assert_eq!(slots.fetched(&program(101).sha256, 3, Vec::new()), None);
    assert_eq!(slots.refused(&program(101).sha256, "no room"), None);
    let slots = slots.fetched(&program(102).sha256, 3, Vec::new()).unwrap();
    assert!(slots.ordered(program(103), 60).unwrap_err().contains("0.102 is on trial"));
    let slots = ordered(&beside_the_package(), 104);
    let slots = slots.refused(&program(104).sha256, "no room").unwrap();
    assert_eq!((slots.order.as_ref(), outcome(&slots)), (None, Some((104, Outcome::Refused))));
    assert!(slots.told().ended.unwrap().is_told);
}

#[test]
fn it_is_the_same_after_a_start() {
    let slots = on_trial(&ordered(&beside_the_package(), 101), 102);
    let text = serde_json::to_string(&slots).unwrap();
    assert_eq!(serde_json::from_str::<Slots>(&text).unwrap(), slots);
    // A later version may say more; an earlier one has to start all the same.
    let more = text.replacen('{', "{\"later\":1,", 1);
    assert_eq!(serde_json::from_str::<Slots>(&more).unwrap(), slots);
}

/// Numbers that look drawn (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end
    }
}

/// A machine: what is durable, and the files of its slots, which are written before what refers to them.
struct Machine {
    disk: Slots,
    files: [Option<u64>; 2],
    commits: u64,
    /// Programs that are well, by number; all others end badly or are never well.
    is_well: fn(u64) -> bool,
}

/// Whether power goes now, so that nothing after it happens.
fn dies(dice: &mut Dice) -> bool {
    dice.below(6) == 0
}

impl Machine {
    fn file(&mut self, slot: Slot) -> &mut Option<u64> {
        &mut self.files[usize::from(slot == Slot::B)]
    }

    /// A start, as `begin` does it: what is durable before, then the program; `None` if power went.
    fn start(&mut self, dice: &mut Dice) -> Option<(Choice, u64)> {
        loop {
            let (next, choice) = self.disk.choose(PACKAGED);
            if dies(dice) {
                return None;
            }
            self.disk = next;
            if dies(dice) {
                return None;
            }
            let slot = match choice {
                Choice::Packaged => return Some((choice, PACKAGED)),
                Choice::Active(slot) | Choice::Trial(slot) => slot,
            };
            match *self.file(slot) {
                Some(number) => return Some((choice, number)),
                None => self.disk = self.disk.unusable(slot, "gone"),
            }
        }
    }

    /// What the program does until power goes or it restarts.
    fn run(&mut self, choice: Choice, running: u64, newest: &mut u64, dice: &mut Dice) {
        if let Choice::Trial(slot) = choice {
            if (self.is_well)(running) {
                if dies(dice) {
                    return;
                }
                self.disk = self.disk.committed(slot).expect("it is on trial");
                self.commits += 1;
            } else if dice.below(2) == 0 {
                self.disk = self.disk.rolled_back(slot, "not well").expect("it is on trial");
                return;
            } else {
                return;
            }
        }
        if dice.below(3) == 0 {
            *newest += 1;
            self.disk = self.disk.ordered(program(*newest), 60).expect("nothing is on trial");
        }
        let Some(order) = self.disk.order.clone() else { return };
        // Pieces come and go with power; the file is whole before the state says so.
        *self.file(order.slot) = None;
        if dies(dice) {
            return;
        }
        *self.file(order.slot) = Some(order.program.number);
        if dies(dice) {
            return;
        }
        let next = self.disk.fetched(&order.program.sha256, 3, Vec::new());
        self.disk = next.expect("nobody else orders");
    }
}

#[test]
fn whenever_power_goes_there_is_a_program_to_start_and_only_what_is_well_is_kept() {
    let mut rolled_back = 0;
    for seed in 1..=500 {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let is_well: fn(u64) -> bool = if seed % 3 == 0 { |n| n % 2 == 0 } else { |_| true };
        let mut machine = Machine { disk: Slots::default(), files: [None; 2], commits: 0, is_well };
        let (mut newest, mut kept) = (PACKAGED, PACKAGED);
        for _ in 0..60 {
            let Some((choice, running)) = machine.start(&mut dice) else { continue };
            match choice {
                Choice::Packaged => assert_eq!(kept, PACKAGED, "seed {seed}: an old one"),
                Choice::Active(_) => assert_eq!(running, kept, "seed {seed}: not what was kept"),
                Choice::Trial(_) => assert!(kept < running, "seed {seed}: tried {running}"),
            }
            let before = machine.commits;
            machine.run(choice, running, &mut newest, &mut dice);
            if before < machine.commits {
                assert_eq!(machine.commits, before + 1);
                assert!(is_well(running), "seed {seed}: {running} is not well and was kept");
                kept = running;
            }
            if let Some((slot, program)) = machine.disk.active.clone() {
                let file = *machine.file(slot);
                assert_eq!(file, Some(program.number), "seed {seed}: the kept one is overwritten");
            }
            rolled_back += u32::from(
                outcome(&machine.disk).is_some_and(|(_, how)| how == Outcome::RolledBack),
            );
        }
        // Left alone, it ends at one program and stays there.
        machine.disk.order = None;
        let mut last = None;
        for _ in 0..5 {
            let (next, choice) = machine.disk.choose(PACKAGED);
            (machine.disk, last) = (next, Some(choice));
        }
        let expected = machine
            .disk
            .active
            .as_ref()
            .map_or(Choice::Packaged, |(slot, _)| Choice::Active(*slot));
        assert_eq!(last, Some(expected), "seed {seed}");
    }
    assert!(100 < rolled_back, "{rolled_back}");
}
