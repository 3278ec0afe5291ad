//! The map: where satellites and stations are at the last step, and the ground tracks of a few satellites.

use orbit::sunlight::sun_teme_km;
use types::Geodetic;

use super::gather::{Gathered, LastMoment};
use super::page::{Page, escaped};

/// Natural Earth's land, 1:110 million (public domain, by the package world-atlas 2.0.2), simplified to 0.3 degrees and
/// without islands below 1 square degree; x is longitude, y latitude downwards, in fifths of a degree.
const LAND: &str = include_str!("land.path");
/// Fifths of a degree in a degree.
const PER_DEGREE: f64 = 5.0;
/// Satellites that are drawn: more would cover the map, and each takes 12 bytes.
const DOTS_MAX: usize = 8_000;
/// Links that are drawn, for the same reasons.
const LINKS_MAX: usize = 10_000;
/// Between steps longer than this a track is no line any more, seconds: 8 degrees of the orbit.
const TRACK_STEP_S_MAX: f64 = 130.0;

/// Draws the map.
pub(super) fn map(page: &mut Page, run: &Gathered) {
    let Some(last) = &run.last else { return };
    let lead = format!(
        "Satellites, links and stations at the last step, {}; the night side is shaded.",
        last.at
    );
    page.section("Map", &lead);
    let places: Vec<Option<Geodetic>> =
        (0..last.positions_km.len()).map(|satellite| last.place(satellite)).collect();
    let every = places.len().div_ceil(DOTS_MAX).max(1);
    legend(page, run, every);
    page.put(format_args!(
        "<svg viewBox=\"-900 -450 1800 900\" class=\"tips\" role=\"img\" aria-label=\"Map of satellites and stations\">\
         <rect class=\"sea\" x=\"-900\" y=\"-450\" width=\"1800\" height=\"900\"/>\
         <path class=\"land\" d=\"{}\"/>",
        LAND.trim_end().replace('\n', "")
    ));
    night(page, last);
    graticule(page);
    mesh(page, last, &places);
    dots(page, places.iter().step_by(every));
    tracks(page, run);
    uplinks(page, last, &places);
    stations(page, run, last);
    page.put(format_args!("</svg>"));
    if 1 < every {
        page.put(format_args!("<p class=\"note\">Drawn is every {every}th satellite.</p>"));
    }
    if LINKS_MAX < last.isl.len() {
        page.put(format_args!(
            "<p class=\"note\">{} links between satellites are too many to draw.</p>",
            last.isl.len()
        ));
    }
    page.end_section();
}

fn legend(page: &mut Page, run: &Gathered, every: usize) {
    let dots = if every == 1 { "satellites" } else { "satellites (a part of them)" };
    page.put(format_args!("<figcaption>"));
    for (color, text) in
        [(0, dots), (7, "links between satellites"), (1, "stations and their links")]
    {
        page.put(format_args!(
            "<span class=\"key\" style=\"--c:var(--c{color})\"><i></i>{text}</span>"
        ));
    }
    for (track, color) in run.tracks.iter().zip(TRACK_COLORS) {
        let name = run.head.satellites.get(track.satellite).map_or("", String::as_str);
        page.put(format_args!(
            "<span class=\"key\" style=\"--c:var(--c{color})\"><i></i>track of {}</span>",
            escaped(name)
        ));
    }
    page.put(format_args!("</figcaption>"));
}

/// Colours of the ground tracks.
const TRACK_COLORS: [usize; 3] = [3, 2, 6];

fn xy(place: &Geodetic) -> (f64, f64) {
    (place.lon_deg * PER_DEGREE, -place.lat_deg * PER_DEGREE)
}

/// Whether the short way between two places leads over the edge of the map.
fn crosses_edge(a: (f64, f64), b: (f64, f64)) -> bool {
    180.0 * PER_DEGREE < (a.0 - b.0).abs()
}

fn graticule(page: &mut Page) {
    page.put(format_args!("<path class=\"grid\" d=\"M-900 0H900"));
    for degrees in [30, 60] {
        let y = degrees * 5;
        page.put(format_args!("M-900 {y}H900M-900 -{y}H900"));
    }
    for degrees in (-150..=150).step_by(30) {
        page.put(format_args!("M{} -450V450", degrees * 5));
    }
    page.put(format_args!("\"/>"));
    for (degrees, text) in [(60, "60° N"), (30, "30° N"), (0, "0°"), (-30, "30° S"), (-60, "60° S")]
    {
        page.put(format_args!(
            "<text x=\"-892\" y=\"{}\" style=\"font-size:14px\">{text}</text>",
            -degrees * 5 - 5
        ));
    }
}

/// Shades where the Sun stands below the horizon.
fn night(page: &mut Page, last: &LastMoment) {
    let [x, y, z] = last.turn.to_ecef(sun_teme_km(last.at));
    let (sun_lat, sun_lon) = (z.atan2(x.hypot(y)), y.atan2(x));
    // tan(lat) = -cos(lon - lon_sun) / tan(lat_sun); at an equinox the terminator runs through the poles.
    let tan_sun = sun_lat.tan();
    let tan_sun = if tan_sun.abs() < 1.0e-3 { 1.0e-3_f64.copysign(tan_sun) } else { tan_sun };
    let dark_pole = if 0.0 < sun_lat { 450 } else { -450 };
    page.put(format_args!("<path class=\"night\" d=\"M-900 {dark_pole}"));
    for lon_deg in (-180_i32..=180).step_by(3) {
        let lon = f64::from(lon_deg).to_radians();
        let lat_deg = (-(lon - sun_lon).cos() / tan_sun).atan().to_degrees();
        page.put(format_args!("L{} {:.0}", lon_deg * 5, -lat_deg * PER_DEGREE));
    }
    page.put(format_args!("L900 {dark_pole}z\"/>"));
}

fn mesh(page: &mut Page, last: &LastMoment, places: &[Option<Geodetic>]) {
    if LINKS_MAX < last.isl.len() {
        return;
    }
    page.put(format_args!("<path class=\"mesh\" d=\""));
    for (a, b) in &last.isl {
        let place = |satellite: &u32| places.get(*satellite as usize)?.as_ref().map(xy);
        if let (Some(a), Some(b)) = (place(a), place(b))
            && !crosses_edge(a, b)
        {
            page.put(format_args!("M{:.0} {:.0}L{:.0} {:.0}", a.0, a.1, b.0, b.1));
        }
    }
    page.put(format_args!("\"/>"));
}

fn dots<'a>(page: &mut Page, places: impl Iterator<Item = &'a Option<Geodetic>>) {
    page.put(format_args!("<path class=\"sats\" d=\""));
    for (x, y) in places.flatten().map(xy) {
        page.put(format_args!("M{x:.0} {y:.0}h0"));
    }
    page.put(format_args!("\"/>"));
}

fn tracks(page: &mut Page, run: &Gathered) {
    for (track, color) in run.tracks.iter().zip(TRACK_COLORS) {
        let lines = run.seconds(track.stride()) <= TRACK_STEP_S_MAX;
        let (style, end) =
            if lines { ("", "") } else { (";stroke-width:5;stroke-linecap:round", "h0") };
        page.put(format_args!("<path class=\"track\" style=\"--c:var(--c{color}){style}\" d=\""));
        let mut before: Option<(f64, f64)> = None;
        for place in &track.places {
            let now = place.as_ref().map(xy);
            if let Some((x, y)) = now {
                let joined = lines && before.is_some_and(|before| !crosses_edge(before, (x, y)));
                page.put(format_args!("{}{x:.0} {y:.0}{end}", if joined { 'L' } else { 'M' }));
            }
            before = now;
        }
        page.put(format_args!("\"/>"));
    }
}

fn uplinks(page: &mut Page, last: &LastMoment, places: &[Option<Geodetic>]) {
    page.put(format_args!("<path class=\"uplinks\" d=\""));
    for (station, satellite) in last.ground.iter().take(LINKS_MAX) {
        let station = last.stations.get(*station as usize).map(|(place, _)| xy(place));
        let satellite = places.get(*satellite as usize).and_then(|place| place.as_ref().map(xy));
        if let (Some(a), Some(b)) = (station, satellite)
            && !crosses_edge(a, b)
        {
            page.put(format_args!("M{:.0} {:.0}L{:.0} {:.0}", a.0, a.1, b.0, b.1));
        }
    }
    page.put(format_args!("\"/>"));
}

fn stations(page: &mut Page, run: &Gathered, last: &LastMoment) {
    page.put(format_args!("<g class=\"stations\">"));
    for (station, (place, linked)) in run.head.stations.iter().zip(&last.stations) {
        let (x, y) = xy(place);
        let (class, word) = if *linked { ("", "linked") } else { (" class=\"off\"", "not linked") };
        page.put(format_args!(
            "<circle{class} cx=\"{x:.0}\" cy=\"{y:.0}\" r=\"5\" data-tip=\"{}: {word}\"/>",
            escaped(&station.name)
        ));
    }
    page.put(format_args!("</g>"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_land_is_small_and_lies_on_the_map() {
        assert!(LAND.len() < 15_000, "{}", LAND.len());
        let mut outlines = 0;
        for outline in LAND.lines() {
            let start = outline.strip_prefix('M').unwrap();
            let (start, rest) = start.split_once('l').unwrap();
            assert!(rest.ends_with('z'));
            let numbers = |text: &str| -> Vec<i32> {
                let spread = text.trim_end_matches('z').replace('-', " -");
                spread.split_whitespace().map(|n| n.parse().unwrap()).collect()
            };
            let start = numbers(start);
            let (mut x, mut y) = (start[0], start[1]);
            for step in numbers(rest).chunks(2) {
                (x, y) = (x + step[0], y + step[1]);
                assert!(x.abs() <= 900 && y.abs() <= 450, "{outline}");
            }
            outlines += 1;
        }
        assert!(50 < outlines);
    }
}
