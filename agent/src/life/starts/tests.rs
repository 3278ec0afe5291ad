//! Lives of a node, start by start.

use super::*;
use proptest::prelude::*;

const LIMITS: Limits = Limits { failures_max: 5, backoff: Duration::from_secs(600) };
const PROGRAM: u64 = 7;

/// What becomes of a start.
#[derive(Clone, Copy, Debug)]
enum End {
    Crash,
    Proved,
    Told,
    Waits(u64),
    Resumed,
}

/// One start and its end; the mode that it had.
fn live(starts: &mut Starts, end: End) -> Mode {
    let (begun, mode) = starts.begin(PROGRAM, &LIMITS);
    *starts = match end {
        End::Crash => begun,
        End::Proved => begun.proved(mode, &LIMITS),
        End::Told => begun.ended(mode, &LIMITS),
        End::Waits(s) if mode.failed().is_some() => begun.waited(s, &LIMITS).0,
        End::Waits(_) => begun,
        End::Resumed => begun.resumed(),
    };
    mode
}

#[test]
fn so_many_failed_starts_in_a_row_are_safe_mode_and_one_good_one_is_none() {
    let mut starts = Starts::default();
    for _ in 0..4 {
        assert_eq!(live(&mut starts, End::Crash), Mode::Normal);
    }
    assert_eq!(live(&mut starts, End::Proved), Mode::Normal);
    for _ in 0..4 {
        assert_eq!(live(&mut starts, End::Crash), Mode::Normal);
    }
    assert_eq!(live(&mut starts, End::Told), Mode::Normal);
    for _ in 0..5 {
        assert_eq!(live(&mut starts, End::Crash), Mode::Normal);
    }
    assert_eq!(live(&mut starts, End::Proved), Mode::Safe { failed: 5 });
    assert_eq!(
        live(&mut starts, End::Told),
        Mode::Safe { failed: 5 },
        "a restart does not leave it"
    );
}

#[test]
fn what_fails_in_safe_mode_too_is_left_to_the_packaged_program() {
    let mut starts = Starts::default();
    for _ in 0..10 {
        assert!(!matches!(live(&mut starts, End::Crash), Mode::SafePackaged { .. }));
    }
    for _ in 0..3 {
        assert!(matches!(live(&mut starts, End::Crash), Mode::SafePackaged { .. }));
    }
    assert!(matches!(live(&mut starts, End::Proved), Mode::SafePackaged { .. }));
    assert_eq!(starts.failed, 10, "it stays with it");
}

#[test]
fn the_back_off_doubles_up_to_a_day_and_a_start_that_proves_itself_forgets_it() {
    let mut starts = Starts { failed: 5, program: PROGRAM, ..Starts::default() };
    for expected_s in [600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800, 86_400, 86_400] {
        assert_eq!(starts.left_s(&LIMITS), expected_s);
        assert_eq!(live(&mut starts, End::Waits(expected_s - 1)), Mode::Safe { failed: 5 });
        assert_eq!(starts.left_s(&LIMITS), 1);
        starts.failed = 5;
        assert_eq!(live(&mut starts, End::Waits(1)), Mode::Safe { failed: 5 });
        assert_eq!(live(&mut starts, End::Crash), Mode::Normal, "one try");
    }
    assert_eq!(live(&mut starts, End::Waits(86_400)), Mode::Safe { failed: 5 });
    assert_eq!(live(&mut starts, End::Proved), Mode::Normal);
    assert_eq!(starts, Starts { program: PROGRAM, ..Starts::default() });
}

#[test]
fn an_operator_and_another_program_begin_anew() {
    let mut starts = Starts { failed: 5, rounds: 3, waited_s: 9, program: PROGRAM };
    assert_eq!(starts.begin(PROGRAM + 1, &LIMITS).1, Mode::Normal);
    assert_eq!(live(&mut starts, End::Resumed), Mode::Safe { failed: 5 });
    assert_eq!(live(&mut starts, End::Crash), Mode::Normal);
}

fn ends() -> impl Strategy<Value = Vec<End>> {
    let end = prop_oneof![
        6 => Just(End::Crash),
        1 => Just(End::Proved),
        1 => Just(End::Told),
        2 => (0..100_000_u64).prop_map(End::Waits),
        1 => Just(End::Resumed),
    ];
    proptest::collection::vec(end, 0..200)
}

proptest! {
    /// Whatever became of the starts before: functions never run after the limit of crashes in a row, and a node that only waits in safe
    /// mode comes out of it.
    #[test]
    fn no_crash_loop_with_functions_and_no_way_without_return(ends in ends()) {
        let mut starts = Starts::default();
        let mut in_a_row = 0;
        for end in ends {
            let mode = live(&mut starts, end);
            if mode == Mode::Normal {
                prop_assert!(in_a_row < LIMITS.failures_max);
            }
            in_a_row = match (mode, end) {
                (Mode::Normal, End::Crash | End::Waits(_)) => in_a_row + 1,
                (Mode::Normal, _) | (_, End::Resumed) => 0,
                (_, End::Waits(_)) if starts.failed == LIMITS.failures_max - 1 => starts.failed,
                (_, _) => in_a_row,
            };
        }
        let left_s = starts.left_s(&LIMITS);
        if LIMITS.failures_max <= starts.failed {
            prop_assert!(left_s <= BACKOFF_MAX.as_secs());
            let (starts, is_over) = starts.waited(left_s, &LIMITS);
            prop_assert!(is_over);
            prop_assert_eq!(starts.begin(PROGRAM, &LIMITS).1, Mode::Normal);
        }
    }
}
