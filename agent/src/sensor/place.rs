//! Where the node is: as it was told, fixed or on its track.

use protocol::sim::SimEnv;
use topology::track::between;
use types::{Epoch, Geodetic, NodeKind};

use crate::config::Config;

/// A track holds for so many of its lengths: it is told twice within one, and may come late.
const LENGTHS_MAX: f64 = 1.5;

/// A receiver that said nothing for so long is not believed any more, s: a car is a kilometre away by then.
const RECEIVER_S_MAX: f64 = 30.0;

/// Why nobody knows where the node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// Nobody tells.
    #[error("no [place] in the configuration, no [receiver], and no [sim]")]
    NotTold,
    /// The emulation has not told yet, or cannot.
    #[error(
        "the emulation has not told it: it has just started, does not know this node, or replays too fast for a track"
    )]
    NotYet,
    /// What it told does not hold any more.
    #[error("the emulation told it too long ago")]
    Old,
    /// The receiver has not had a fix yet, cannot be reached, or has lost it.
    #[error("the receiver has no fix with a height, or cannot be reached")]
    NoFix,
}

/// Where a receiver last said that a node is, if that was not long before `now`.
pub(super) fn of_receiver(
    told: Option<(Geodetic, Epoch)>,
    now: Epoch,
) -> Result<Geodetic, NoPlace> {
    let (place, at) = told.ok_or(NoPlace::NoFix)?;
    let age_s = now.seconds_since(at);
    (-RECEIVER_S_MAX..=RECEIVER_S_MAX).contains(&age_s).then_some(place).ok_or(NoPlace::NoFix)
}

/// Where a node is at `now` by what surrounds it.
pub(super) fn on_track(env: &SimEnv, now: Epoch) -> Result<Geodetic, NoPlace> {
    let track = env.track.ok_or(NoPlace::NotYet)?;
    if track.from == track.to {
        return Ok(track.from);
    }
    let lengths = now.seconds_since(env.at) / f64::from(track.after_s);
    // Before it was told only as far as clocks differ.
    let holds = (1.0 - LENGTHS_MAX..=LENGTHS_MAX).contains(&lengths);
    holds.then(|| between(&track.from, &track.to, lengths)).ok_or(NoPlace::Old)
}

/// What functions of a node are told of where it is, before anything has run, in words.
pub fn words(config: &Config) -> String {
    match (config.place, &config.receiver, &config.sim, config.kind) {
        (Some(Geodetic { lat_deg, lon_deg, alt_km }), ..) => {
            format!(
                "position: {lat_deg} deg north, {lon_deg} deg east, {alt_km} km up, from [place]"
            )
        }
        (None, Some(receiver), ..) => {
            format!("position: as the receiver at {receiver} tells; none until then")
        }
        (None, None, Some(_), _) => "position: as the emulation tells; none until then".to_owned(),
        (None, None, None, NodeKind::Satellite) => {
            "position: none: satellites move, and nothing here says where they are ([sim] would)"
                .to_owned()
        }
        (None, None, None, _) => format!("position: none: {}", NoPlace::NotTold),
    }
}

#[cfg(test)]
mod tests {
    use protocol::sim::Track;

    use super::*;

    fn env(track: Option<Track>) -> SimEnv {
        let at = Epoch::parse("2026-03-20T12:00:00Z").unwrap();
        SimEnv { at, sunlit: 1.0, solar_w_m2: 1361.0, ambient_c: 0.0, track }
    }

    #[test]
    fn a_place_goes_along_its_track_and_gets_old() {
        let from = Geodetic { lat_deg: 0.0, lon_deg: 10.0, alt_km: 550.0 };
        let to = Geodetic { lon_deg: 12.0, ..from };
        let env = env(Some(Track { from, to, after_s: 20.0 }));
        for (after_s, lon_deg) in
            [(-5.0, 9.5), (0.0, 10.0), (5.0, 10.5), (20.0, 12.0), (30.0, 13.0)]
        {
            let place = on_track(&env, env.at.plus_s(after_s)).unwrap();
            assert!(
                (place.lon_deg - lon_deg).abs() < 1e-9 && place.lat_deg.abs() < 1e-9,
                "{place:?}"
            );
        }
        for after_s in [-11.0, 31.0, 1e6] {
            assert_eq!(on_track(&env, env.at.plus_s(after_s)), Err(NoPlace::Old), "{after_s}");
        }
    }

    #[test]
    fn a_fix_holds_for_half_a_minute() {
        let place = Geodetic { lat_deg: 48.0, lon_deg: 16.0, alt_km: 0.2 };
        let at = env(None).at;
        assert_eq!(of_receiver(Some((place, at)), at.plus_s(29.0)), Ok(place));
        assert_eq!(of_receiver(Some((place, at)), at.plus_s(31.0)), Err(NoPlace::NoFix));
        assert_eq!(of_receiver(None, at), Err(NoPlace::NoFix));
    }

    #[test]
    fn who_stays_is_there_for_ever_and_who_was_not_told_is_nowhere() {
        let place = Geodetic { lat_deg: 48.0, lon_deg: 16.0, alt_km: 0.2 };
        let stays = env(Some(Track { from: place, to: place, after_s: 2.0 }));
        assert_eq!(on_track(&stays, stays.at.plus_s(1e6)), Ok(place));
        let unknown = env(None);
        assert_eq!(on_track(&unknown, unknown.at), Err(NoPlace::NotYet));
    }
}
