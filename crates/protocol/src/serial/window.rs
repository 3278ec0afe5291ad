//! Which numbers of frames were seen: what a line doubles is taken once, and what is missing is counted.

/// How many numbers back a duplicate is known as one: a line repeats at most what its buffers hold, a few frames.
pub const WINDOW: u16 = 32;

/// What the number of a frame says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is new; so many frames between it and the newest one before are missing.
    New {
        /// How many.
        missing: u16,
    },
    /// It is new but late: it was counted as missing.
    Late,
    /// It was seen.
    Duplicate,
    /// Its number is far behind: the sender started anew.
    Restart,
}

/// The last [`WINDOW`] numbers of a sender.
///
/// Numbers go up by one for each frame, modulo 65536, from an arbitrary first one (see [`super::Sender::new`]): a sender that starts anew
/// falls into the window of its earlier self once in a thousand starts, and then costs at most [`WINDOW`] frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The newest number; `None` before the first frame.
    newest: Option<u16>,
    /// Bit `n`: the number `newest - n` was seen.
    seen: u32,
}

impl Window {
    /// One that has seen nothing.
    pub const fn new() -> Self {
        Self { newest: None, seen: 0 }
    }

    /// Notes a number, and says how it stands to those before.
    pub fn note(&mut self, seq: u16) -> Standing {
        let Some(newest) = self.newest else {
            self.begin(seq);
            return Standing::New { missing: 0 };
        };
        let ahead = seq.wrapping_sub(newest);
        let behind = newest.wrapping_sub(seq);
        if behind < WINDOW {
            let bit = 1_u32 << behind;
            let was_seen = self.seen & bit != 0;
            self.seen |= bit;
            return if was_seen { Standing::Duplicate } else { Standing::Late };
        }
        // Half of all numbers lie ahead, the other half behind.
        if ahead <= u16::MAX / 2 {
            self.seen = self.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
            self.newest = Some(seq);
            return Standing::New { missing: ahead - 1 };
        }
        self.begin(seq);
        Standing::Restart
    }

    const fn begin(&mut self, seq: u16) {
        // What is before the first one is not missing, so nothing of it may come late.
        (self.newest, self.seen) = (Some(seq), u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::{Standing, WINDOW, Window};

    /// Numbers in the order in which they come in, each with what is said of it.
    #[track_caller]
    fn check(story: &[(u16, Standing)]) {
        let mut window = Window::new();
        for (step, (seq, expected)) in story.iter().enumerate() {
            assert_eq!(window.note(*seq), *expected, "step {step}, number {seq}");
        }
    }

    const NEXT: Standing = Standing::New { missing: 0 };

    #[test]
    fn each_number_is_taken_once_also_across_the_turn() {
        check(&[(65_534, NEXT), (65_535, NEXT), (0, NEXT), (1, NEXT)]);
        check(&[(7, NEXT), (7, Standing::Duplicate), (8, NEXT), (7, Standing::Duplicate)]);
        check(&[
            (65_535, NEXT),
            (0, NEXT),
            (65_535, Standing::Duplicate),
            (0, Standing::Duplicate),
        ]);
    }

    #[test]
    fn what_is_missing_is_counted_and_may_come_late_once() {
        let missing = Standing::New { missing: 2 };
        check(&[
            (7, NEXT),
            (10, missing),
            (9, Standing::Late),
            (9, Standing::Duplicate),
            (11, NEXT),
            (8, Standing::Late),
            (8, Standing::Duplicate),
        ]);
    }

    #[test]
    fn a_sender_that_starts_anew_is_heard_at_once() {
        check(&[(40_000, NEXT), (20_000, Standing::Restart), (20_001, NEXT)]);
        let before_the_window = 1000 - WINDOW;
        check(&[(1000, NEXT), (before_the_window, Standing::Restart)]);
        // What came before the first number was not said to be missing.
        check(&[(1000, NEXT), (before_the_window + 1, Standing::Duplicate)]);
    }

    #[test]
    fn a_jump_over_the_window_forgets_it() {
        let mut window = Window::new();
        window.note(0);
        assert_eq!(window.note(WINDOW), Standing::New { missing: WINDOW - 1 });
        for seq in 1..WINDOW {
            assert_eq!(window.note(seq), Standing::Late, "{seq}");
        }
        assert_eq!(window.note(u16::MAX / 2 + WINDOW), Standing::New { missing: u16::MAX / 2 - 1 });
    }
}
