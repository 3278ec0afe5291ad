//! Whether a program on trial is kept: well for a while, and heard by the controller where a contact is foreseen in its time. Pure.

use std::time::Duration;

use crate::plan::Outlook;

/// What is watched of a program on trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// A contact with the controller was foreseen within the time.
    is_contact_foreseen: bool,
    /// A receipt of the controller came.
    is_heard: bool,
    /// Since when it is well without a break, from its start.
    well_since: Option<Duration>,
}

/// What is seen at one look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Time since the start.
    pub up: Duration,
    /// All local checks pass.
    pub is_well: bool,
    /// A receipt of the controller came in this start.
    pub is_heard: bool,
    /// What the contact plan says of the controller.
    pub outlook: Outlook,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Look again.
    Wait,
    /// Keep it.
    Commit,
    /// Give it up, for this reason.
    RollBack(&'static str),
}

impl Watch {
    /// Takes a look. The program has until `within` from its start, and must be well for `settle`.
    pub fn look(&mut self, look: &Look, (within, settle): (Duration, Duration)) -> Verdict {
        let left = within.saturating_sub(look.up);
        // A way that the plan does not know is one that was there when the update was ordered. What was foreseen once is expected, also
        // when the window has closed without a word.
        self.is_contact_foreseen |= match look.outlook {
            Outlook::Unknown | Outlook::Open { .. } => true,
            Outlook::Closed { opens } => opens < left,
        };
        self.is_heard |= look.is_heard;
        self.well_since = look.is_well.then(|| self.well_since.unwrap_or(look.up));
        let has_settled =
            self.well_since.is_some_and(|since| settle <= look.up.saturating_sub(since));
        if has_settled && (self.is_heard || !self.is_contact_foreseen) {
            return Verdict::Commit;
        }
        match (left.is_zero(), has_settled) {
            (false, _) => Verdict::Wait,
            (true, false) => Verdict::RollBack("it was not well in its time"),
            (true, true) => Verdict::RollBack(
                "the controller gave no receipt in its time, though a contact was foreseen",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(30));
    const OPEN: Outlook = Outlook::Open { left: Duration::from_secs(300), rate_kbps: 500 };

    fn closed(opens_s: u64) -> Outlook {
        Outlook::Closed { opens: Duration::from_secs(opens_s) }
    }

    /// Looks at these seconds; the last verdict, and all before it are to wait.
    fn watch(looks: &[(u64, bool, bool, Outlook)]) -> Verdict {
        let mut watch = Watch::default();
        let mut verdict = Verdict::Wait;
        for (at, is_well, is_heard, outlook) in looks.iter().copied() {
            assert_eq!(verdict, Verdict::Wait, "before {at} s");
            let look = Look { up: Duration::from_secs(at), is_well, is_heard, outlook };
            verdict = watch.look(&look, TIMES);
        }
        verdict
    }

    #[test]
    fn what_is_well_and_heard_is_kept() {
        assert_eq!(watch(&[(1, true, false, OPEN), (20, true, true, OPEN)]), Verdict::Wait);
        let kept = [(1, true, false, OPEN), (20, true, true, OPEN), (31, true, false, OPEN)];
        assert_eq!(watch(&kept), Verdict::Commit);
        let unknown = Outlook::Unknown;
        assert_eq!(watch(&[(1, true, false, unknown), (599, true, false, unknown)]), Verdict::Wait);
        assert_eq!(watch(&[(1, true, true, unknown), (31, true, true, unknown)]), Verdict::Commit);
    }

    #[test]
    fn without_a_contact_in_its_time_it_need_not_be_heard() {
        let far = [(1, true, false, closed(3000)), (31, true, false, closed(2970))];
        assert_eq!(watch(&far), Verdict::Commit);
        // The window opens in its time: it has to be heard in it.
        let near = [(1, true, false, closed(300)), (31, true, false, closed(270))];
        assert_eq!(watch(&near), Verdict::Wait);
        let heard = [near[0], near[1], (310, true, true, OPEN)];
        assert_eq!(watch(&heard), Verdict::Commit);
        let missed = [near[0], near[1], (310, true, false, OPEN), (599, true, false, closed(5000))];
        assert_eq!(watch(&missed), Verdict::Wait, "the window has closed without a word");
        let over = [missed[0], missed[1], missed[2], missed[3], (600, true, false, closed(5000))];
        assert!(matches!(watch(&over), Verdict::RollBack(reason) if reason.contains("receipt")));
    }

    #[test]
    fn what_is_not_well_long_enough_is_given_up() {
        let never = [(1, false, true, OPEN), (599, false, true, OPEN), (600, false, true, OPEN)];
        assert!(matches!(watch(&never), Verdict::RollBack(reason) if reason.contains("not well")));
        let broken = [(1, true, true, OPEN), (29, false, true, OPEN), (30, true, true, OPEN)];
        assert_eq!(watch(&broken), Verdict::Wait, "it begins anew");
        let again = [broken[0], broken[1], broken[2], (60, true, true, OPEN)];
        assert_eq!(watch(&again), Verdict::Commit);
    }
}
