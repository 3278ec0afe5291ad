//! Whether a node has too little charge, or is too warm, to begin work. Pure.
//!
//! The planner keeps a reserve, and moves tasks before it is touched. This is what is left when it could not: the node itself takes no more calls, so that
//! it stays in reach and whole.

use std::fmt;

/// What has to come back before work begins again, so that a node at its limit does not take and refuse in turn.
const CHARGE_MORE: f32 = 0.02;
const KELVIN_LESS: f32 = 2.0;

/// What a node may not go past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Endurance {
    /// The charge below which no work begins, 0 to 1.
    pub floor: f32,
    /// The temperature from which on none does, in °C.
    pub ceiling_c: f32,
}

/// Why no work begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strain {
    /// Too little charge.
    Charge {
        /// The state of charge, 0 to 1.
        soc: f32,
        /// What it must not be below.
        floor: f32,
    },
    /// Too warm.
    Warmth {
        /// The temperature, in °C.
        celsius: f32,
        /// What it must be below.
        ceiling_c: f32,
    },
}

impl fmt::Display for Strain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Charge { soc, floor } => {
                let (percent, least) = (soc * 100.0, floor * 100.0);
                write!(f, "the battery has {percent:.1} %, at {least:.1} % no work begins")
            }
            Self::Warmth { celsius, ceiling_c } => {
                write!(f, "the node has {celsius:.1} °C, from {ceiling_c:.1} °C on no work begins")
            }
        }
    }
}

impl Endurance {
    /// What strains a node of this charge and temperature, after `before` did. What nobody knows does not strain: most nodes have no battery.
    pub fn judge(
        self,
        (soc, celsius): (Option<f32>, Option<f32>),
        before: Option<Strain>,
    ) -> Option<Strain> {
        let more = |is_strained: bool, by: f32| if is_strained { by } else { 0.0 };
        let (was_low, was_hot) = match before {
            Some(Strain::Charge { .. }) => (true, false),
            Some(Strain::Warmth { .. }) => (false, true),
            None => (false, false),
        };
        let (floor, ceiling_c) = (self.floor, self.ceiling_c);
        let least = floor + more(was_low, CHARGE_MORE);
        let low = soc.filter(|soc| *soc < least).map(|soc| Strain::Charge { soc, floor });
        let most = ceiling_c - more(was_hot, KELVIN_LESS);
        let hot = celsius.filter(|celsius| most <= *celsius);
        low.or_else(|| hot.map(|celsius| Strain::Warmth { celsius, ceiling_c }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDURANCE: Endurance = Endurance { floor: 0.1, ceiling_c: 95.0 };

    /// Whether each of these states strains, one after the other.
    fn story(states: &[(Option<f32>, Option<f32>)]) -> Vec<bool> {
        let mut strain = None;
        let judged = states.iter().map(|state| {
            strain = ENDURANCE.judge(*state, strain);
            strain.is_some()
        });
        judged.collect()
    }

    #[test]
    fn work_ends_at_the_floor_and_begins_somewhat_above_it() {
        let charge = |soc| (Some(soc), Some(40.0));
        let states = [charge(0.11), charge(0.1), charge(0.099), charge(0.11), charge(0.121)];
        assert_eq!(story(&states), [false, false, true, true, false]);
    }

    #[test]
    fn work_ends_at_the_ceiling_and_begins_somewhat_below_it() {
        let warm = |celsius| (None, Some(celsius));
        let states = [warm(94.9), warm(95.0), warm(94.0), warm(92.9)];
        assert_eq!(story(&states), [false, true, true, false]);
    }

    #[test]
    fn what_nobody_knows_does_not_strain() {
        assert_eq!(story(&[(None, None), (Some(0.05), None), (None, None)]), [false, true, false]);
    }

    #[test]
    fn both_limits_are_looked_at() {
        let low = ENDURANCE.judge((Some(0.05), Some(99.0)), None);
        assert_eq!(low, Some(Strain::Charge { soc: 0.05, floor: 0.1 }));
        let hot = ENDURANCE.judge((Some(0.5), Some(99.0)), low);
        assert_eq!(hot, Some(Strain::Warmth { celsius: 99.0, ceiling_c: 95.0 }));
        let said = hot.map(|strain| strain.to_string());
        assert_eq!(said.as_deref(), Some("the node has 99.0 °C, from 95.0 °C on no work begins"));
    }
}
