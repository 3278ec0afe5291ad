//! A place between two places: where what moves from one to the other is meanwhile.

use types::Geodetic;

/// The place on the great circle from one to the other, at that share of the way; beyond 1 it goes on. Heights go along evenly.
///
/// Latitudes are taken as those of a sphere. For two places of a satellite in low orbit 120 s apart this is at most 2 km off, most of
/// that because the Earth turns beneath it (`2 ω v t² / 8` beside the circle).
pub fn between(from: &Geodetic, to: &Geodetic, share: f64) -> Geodetic {
    let (a, b) = (unit(from), unit(to));
    let cosine = (a[0] * b[0] + a[1] * b[1] + a[2] * b[2]).clamp(-1.0, 1.0);
    let angle = cosine.acos();
    let alt_km = from.alt_km + share * (to.alt_km - from.alt_km);
    // Closer than a millimeter there is no direction.
    if angle < 1e-10 {
        return Geodetic { alt_km, ..*from };
    }
    // slerp: (sin((1 − s) Ω) a + sin(s Ω) b) / sin Ω  (Shoemake 1985)
    let (of_a, of_b) = (((1.0 - share) * angle).sin(), (share * angle).sin());
    let [x, y, z] = [0, 1, 2].map(|axis| (of_a * a[axis] + of_b * b[axis]) / angle.sin());
    Geodetic { lat_deg: z.atan2(x.hypot(y)).to_degrees(), lon_deg: y.atan2(x).to_degrees(), alt_km }
}

fn unit(place: &Geodetic) -> [f64; 3] {
    let (lat, lon) = (place.lat_deg.to_radians(), place.lon_deg.to_radians());
    [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(from: (f64, f64), to: (f64, f64), share: f64, expected: (f64, f64)) {
        let place = |(lat_deg, lon_deg)| Geodetic { lat_deg, lon_deg, alt_km: 500.0 };
        let found = between(&place(from), &place(to), share);
        let off = (found.lat_deg - expected.0).abs() + (found.lon_deg - expected.1).abs();
        assert!(off < 1e-6, "{found:?}");
    }

    #[test]
    fn a_way_leads_along_the_great_circle() {
        check((0.0, 10.0), (0.0, 20.0), 0.25, (0.0, 12.5));
        check((10.0, 30.0), (20.0, 30.0), 1.5, (25.0, 30.0));
        // Over the date line, and over the pole.
        check((0.0, 175.0), (0.0, -175.0), 0.75, (0.0, -177.5));
        check((80.0, 0.0), (80.0, 180.0), 0.25, (85.0, 0.0));
        // Who stays is there.
        check((48.0, 16.0), (48.0, 16.0), 0.5, (48.0, 16.0));
    }

    #[test]
    fn heights_go_along_evenly() {
        let from = Geodetic { lat_deg: 0.0, lon_deg: 0.0, alt_km: 500.0 };
        let to = Geodetic { lon_deg: 1.0, alt_km: 510.0, ..from };
        assert!((between(&from, &to, 0.3).alt_km - 503.0).abs() < 1e-9);
    }
}
