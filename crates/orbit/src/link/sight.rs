//! When two satellites see each other: along the segment between them, or by the rule that Stardust publishes.

use crate::vector::{cross, dot, minus};
use crate::visibility::SightRule;

/// Stardust's longest link between satellites, km, included: a third of its Earth's radius.
pub const STARDUST_RANGE_KM: f64 = 2126.0;
/// How far from the Earth's centre Stardust wants a line of sight to pass, km, not included: its Earth's radius and 10 km.
pub const STARDUST_CLEAR_KM: f64 = 6388.0;

/// Which pairs of satellites may hold a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sight {
    /// The segment between the two stays above a height.
    Segment(SightRule),
    /// The endless line through both passes the Earth's centre at more than [`STARDUST_CLEAR_KM`]: hides satellites
    /// that stand above each other.
    Line {
        /// Longest link, km, included.
        range_max_km: f64,
    },
    /// The range alone.
    Range {
        /// Longest link, km, included.
        range_max_km: f64,
    },
}

impl Sight {
    /// Longest link, km.
    pub(crate) fn range_max_km(&self) -> f64 {
        match self {
            Self::Segment(rule) => rule.range_max_km,
            Self::Line { range_max_km } | Self::Range { range_max_km } => *range_max_km,
        }
    }

    /// Whether the Earth is out of the way and the range is kept.
    pub(crate) fn sees(&self, a_km: [f64; 3], b_km: [f64; 3]) -> bool {
        match self {
            Self::Segment(rule) => rule.distance_km(a_km, b_km).is_some(),
            Self::Line { range_max_km } => {
                let along = minus(b_km, a_km);
                let length2 = dot(along, along);
                // |a x d| / |d|: the distance of the origin from the line along d.
                let moment = cross(a_km, along);
                let clear = STARDUST_CLEAR_KM * STARDUST_CLEAR_KM * length2 < dot(moment, moment);
                clear && length2 <= range_max_km * range_max_km
            }
            Self::Range { range_max_km } => {
                let along = minus(b_km, a_km);
                dot(along, along) <= range_max_km * range_max_km
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_rule_takes_the_line_for_the_segment() {
        let line = Sight::Line { range_max_km: STARDUST_RANGE_KM };
        let segment = Sight::Segment(SightRule { range_max_km: 5500.0, grazing_altitude_km: 80.0 });
        let (low, high) = ([6790.0, 0.0, 0.0], [7790.0, 0.0, 0.0]);
        assert!(segment.sees(low, high) && !line.sees(low, high));
        let beside = [6790.0, 2126.0, 0.0];
        assert!(line.sees(low, beside) && line.sees(beside, low));
        assert!(!line.sees(low, [6790.0, 2126.001, 0.0]));
        assert!(!line.sees(low, low) && !line.sees(low, [f64::NAN; 3]));
    }

    #[test]
    fn the_published_line_of_sight_ends_at_4603_km() {
        let line = Sight::Line { range_max_km: f64::INFINITY };
        let apart = |km: f64| {
            let (sin, cos) = (km / 2.0 / 6790.0_f64).asin().sin_cos();
            line.sees([6790.0 * cos, 6790.0 * sin, 0.0], [6790.0 * cos, -6790.0 * sin, 0.0])
        };
        assert!(apart(4602.0) && !apart(4604.0));
    }
}
