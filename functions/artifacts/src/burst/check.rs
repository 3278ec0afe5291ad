//! Decides whether a workflow found what a burst shows.

use serde_json::Value;

use super::{Burst, FIRES, FRAMES, Target};

/// How far a reported target may lie from the known one, pixels in each direction.
const DISTANCE_MAX: u16 = 1;

/// What prepare-ds answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The name of the burst: seed and index.
    pub burst: String,
    /// Frames that came.
    pub frames_in: u64,
    /// Frames that show change.
    pub frames_kept: u64,
    /// The targets that were found.
    pub targets: Vec<Target>,
    /// Different targets that object-det has ever seen at this place.
    pub tracks_seen: u64,
    /// Bursts that object-det has looked at: one more with each run, or its state was lost.
    pub runs_seen: u64,
    /// Bursts that the background of extract-frames was learned from: one more with each run at the
    /// same place, or its state was lost.
    pub background_runs: u64,
}

impl Outcome {
    /// Reads the answer of prepare-ds.
    ///
    /// # Errors
    /// What is missing or of the wrong kind.
    pub fn parse(result_json: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(result_json)
            .map_err(|error| format!("the result is not JSON: {error}"))?;
        let number = |of: &Value, key: &str| {
            of.get(key).and_then(Value::as_u64).ok_or_else(|| format!("no number {key} in {of}"))
        };
        let short = |of: &Value, key: &str| {
            let number = number(of, key)?;
            u16::try_from(number).map_err(|error| format!("{key} {number}: {error}"))
        };
        let targets = value.get("targets").and_then(Value::as_array);
        let targets = targets.ok_or_else(|| format!("no list of targets in {value}"))?;
        let target = |of: &Value| {
            let (x, y) = (short(of, "x")?, short(of, "y")?);
            Ok::<_, String>(Target { x, y, first_frame: short(of, "first_frame")? })
        };
        let burst = value.get("burst").and_then(Value::as_str);
        Ok(Self {
            burst: burst.ok_or_else(|| format!("no name of a burst in {value}"))?.to_owned(),
            frames_in: number(&value, "frames_in")?,
            frames_kept: number(&value, "frames_kept")?,
            targets: targets.iter().map(target).collect::<Result<_, _>>()?,
            tracks_seen: number(&value, "tracks_seen")?,
            runs_seen: number(&value, "runs_seen")?,
            background_runs: number(&value, "background_runs")?,
        })
    }
}

/// Whether the answer of prepare-ds is right: the burst, its frames, and all known targets at their
/// places from their first frames on, and nothing else.
///
/// # Errors
/// The first thing that is wrong, with what was expected.
pub fn check(burst: &Burst, result_json: &[u8]) -> Result<(), String> {
    let outcome = Outcome::parse(result_json)?;
    let name = format!("{:016x}-{}", burst.seed, burst.index);
    equal("burst", &outcome.burst, &name)?;
    equal("frames_in", &outcome.frames_in, &u64::from(FRAMES))?;
    equal("frames_kept", &outcome.frames_kept, &u64::from(burst.frames_changed))?;
    let mut found = outcome.targets;
    for target in &burst.targets {
        let Some(at) = found.iter().position(|candidate| is_same(target, candidate)) else {
            return Err(format!("known target {target:?} was not found; left are {found:?}"));
        };
        found.swap_remove(at);
    }
    if let Some(target) = found.first() {
        return Err(format!("{target:?} was found, and there is none"));
    }
    if usize::try_from(outcome.tracks_seen).is_ok_and(|tracks| FIRES < tracks) {
        return Err(format!("{} tracks at a place with {FIRES} fires", outcome.tracks_seen));
    }
    Ok(())
}

fn is_same(known: &Target, found: &Target) -> bool {
    known.x.abs_diff(found.x) <= DISTANCE_MAX
        && known.y.abs_diff(found.y) <= DISTANCE_MAX
        && known.first_frame == found.first_frame
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, is: &T, expected: &T) -> Result<(), String> {
    if is == expected {
        return Ok(());
    }
    Err(format!("{what} is {is:?}, not {expected:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::burst::generate;

    fn right_answer(burst: &Burst) -> String {
        let target = |t: &Target| {
            format!(r#"{{"x":{},"y":{},"first_frame":{},"peak_c":60}}"#, t.x, t.y, t.first_frame)
        };
        let targets: Vec<_> = burst.targets.iter().map(target).collect();
        format!(
            r#"{{"burst":"{:016x}-{}","frames_in":16,"frames_kept":{},"targets":[{}],
                "tracks_seen":5,"runs_seen":1,"background_runs":1}}"#,
            burst.seed,
            burst.index,
            burst.frames_changed,
            targets.join(",")
        )
    }

    #[track_caller]
    fn check_wrong(change: impl FnOnce(&mut Burst), said: &str) {
        let burst = generate(5, 2);
        let answer = right_answer(&burst);
        let mut changed = burst;
        change(&mut changed);
        let error = check(&changed, answer.as_bytes()).expect_err("the answer is for another");
        assert!(error.contains(said), "{error}");
    }

    #[test]
    fn the_right_answer_passes() {
        let burst = generate(5, 2);
        assert_eq!(check(&burst, right_answer(&burst).as_bytes()), Ok(()));
    }

    #[test]
    fn wrong_answers_are_told_apart() {
        check_wrong(|burst| burst.index = 3, "burst is");
        check_wrong(|burst| burst.frames_changed += 1, "frames_kept is");
        check_wrong(|burst| burst.targets[0].x += 2, "was not found");
        check_wrong(|burst| burst.targets[0].first_frame += 1, "was not found");
        check_wrong(|burst| burst.targets.truncate(2), "was found, and there is none");
    }

    #[test]
    fn no_answer_is_no_panic() {
        for text in ["", "[]", "{}", r#"{"targets":[{}]}"#, r#"{"targets":[],"burst":3}"#] {
            assert!(Outcome::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
