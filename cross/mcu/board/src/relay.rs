//! Relays: they conduct or not, and a power cycle ends by itself, whoever fell silent meanwhile.

use protocol::serial::{Ack, OFF_MS};

/// Most relays of a board.
pub const RELAYS_MAX: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    On,
    Off,
    /// Off since then, in ms, for so long.
    Cycling(u32, u32),
}

/// The relays of a board. All conduct at the start: a board that starts anew must not cut the power of what it feeds.
#[derive(Clone, Copy, Debug)]
pub struct Relays {
    states: [State; RELAYS_MAX],
    count: u8,
}

impl Relays {
    /// So many, at most [`RELAYS_MAX`].
    pub fn new(count: u8) -> Self {
        let most = u8::try_from(RELAYS_MAX).unwrap_or(u8::MAX);
        Self { states: [State::On; RELAYS_MAX], count: count.min(most) }
    }

    /// How many there are.
    pub const fn count(&self) -> u8 {
        self.count
    }

    /// Whether one conducts; `None` if there is no such one.
    pub fn is_on(&self, ch: u8) -> Option<bool> {
        (ch < self.count).then(|| self.states[usize::from(ch)] == State::On)
    }

    /// Switches one; ends a power cycle that is under way. Says whether there is such a one.
    pub fn set(&mut self, ch: u8, on: bool) -> bool {
        if self.count <= ch {
            return false;
        }
        self.states[usize::from(ch)] = if on { State::On } else { State::Off };
        true
    }

    /// Begins a power cycle; answers what to acknowledge.
    pub fn cycle(&mut self, now_ms: u32, ch: u8, off_ms: u32) -> i8 {
        if self.count <= ch {
            return Ack::NO_CHANNEL;
        }
        if !OFF_MS.contains(&off_ms) {
            return Ack::OUT_OF_RANGE;
        }
        let state = &mut self.states[usize::from(ch)];
        if matches!(state, State::Cycling(..)) {
            return Ack::BUSY;
        }
        *state = State::Cycling(now_ms, off_ms);
        Ack::DONE
    }

    /// Ends a power cycle whose time is over; answers which relay conducts again. To be called until it answers none.
    pub fn tick(&mut self, now_ms: u32) -> Option<u8> {
        for (ch, state) in (0..self.count).zip(&mut self.states) {
            if let State::Cycling(since, off_ms) = *state
                && off_ms <= now_ms.wrapping_sub(since)
            {
                *state = State::On;
                return Some(ch);
            }
        }
        None
    }

    /// In how many ms the next power cycle ends.
    pub fn due_ms(&self, now_ms: u32) -> Option<u32> {
        let left = self.states.iter().filter_map(|state| match *state {
            State::Cycling(since, off_ms) => {
                Some(off_ms.saturating_sub(now_ms.wrapping_sub(since)))
            }
            State::On | State::Off => None,
        });
        left.min()
    }
}

#[cfg(test)]
mod tests {
    use protocol::serial::Ack;

    use super::{OFF_MS, Relays};

    #[test]
    fn a_power_cycle_ends_by_itself_across_the_turn_of_the_clock() {
        let mut relays = Relays::new(2);
        let start = u32::MAX - 2000;
        assert_eq!(relays.cycle(start, 1, 5000), Ack::DONE);
        assert_eq!((relays.is_on(0), relays.is_on(1)), (Some(true), Some(false)));
        assert_eq!(relays.cycle(start, 1, 5000), Ack::BUSY);
        assert_eq!((relays.tick(start.wrapping_add(4999)), relays.is_on(1)), (None, Some(false)));
        assert_eq!(relays.due_ms(start.wrapping_add(4999)), Some(1));
        assert_eq!((relays.tick(start.wrapping_add(5000)), relays.is_on(1)), (Some(1), Some(true)));
        assert_eq!(relays.due_ms(start), None);
    }

    #[test]
    fn what_is_not_there_or_too_long_is_refused() {
        let mut relays = Relays::new(1);
        assert_eq!(relays.cycle(0, 1, 5000), Ack::NO_CHANNEL);
        assert_eq!(relays.cycle(0, 0, OFF_MS.start() - 1), Ack::OUT_OF_RANGE);
        assert_eq!(relays.cycle(0, 0, OFF_MS.end() + 1), Ack::OUT_OF_RANGE);
        assert!(!relays.set(1, false) && relays.is_on(1).is_none());
        assert_eq!(Relays::new(200).count(), 4);
    }

    #[test]
    fn a_state_ends_a_power_cycle() {
        let mut relays = Relays::new(1);
        assert_eq!(relays.cycle(0, 0, 5000), Ack::DONE);
        assert!(relays.set(0, false));
        assert_eq!((relays.tick(5000), relays.is_on(0)), (None, Some(false)));
        // A cycle of what is off ends with it on: that is what was asked for.
        assert_eq!(relays.cycle(5000, 0, 100), Ack::DONE);
        assert_eq!((relays.tick(5100), relays.is_on(0)), (Some(0), Some(true)));
    }
}
