//! What the stations see and hold: shares over time, satellites in sight, contacts.

use super::chart::{Chart, Line, time_axis};
use super::gather::{Contact, Gathered, STATIONS_MAX};
use super::page::{Page, escaped};
use super::scale::Scale;
use super::series::Series;

/// Width of the plots, and where their time begins and ends, pixels.
const WIDTH: f64 = 1080.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = WIDTH - 14.0;
/// Height of a station's row, pixels.
const ROW: f64 = 15.0;
/// Letters of a station's name that fit.
const NAME_CHARS: usize = 20;
/// Shades of the number of satellites in sight.
const SHADES: usize = 5;
/// Contacts of one station at the same time that are drawn; the rest is told.
const LANES: usize = 4;
/// Contacts up to which each tells its name under the pointer: one takes 150 bytes of the page then, else 20.
const NAMED_MAX: usize = 6_000;
/// Colours of a contact and of the next one in its lane.
const COLORS: [usize; 2] = [0, 5];

/// The shares of stations that see and hold satellites.
pub(super) fn shares(page: &mut Page, run: &Gathered) {
    if run.head.stations.is_empty() {
        return;
    }
    let lead = "Share of the stations that have a satellite above their mask, and that hold a link with one.";
    page.section("Coverage", lead);
    let lines = [
        Line { label: "a satellite in sight", color: 0, series: &run.seen },
        Line { label: "linked", color: 1, series: &run.linked },
    ];
    let size = (WIDTH, 220.0);
    let title = "Stations";
    Chart { title, unit: " %", size, from_zero: true, lines: &lines }.draw(page, run);
    page.end_section();
}

/// How many satellites each station sees.
pub(super) fn in_sight(page: &mut Page, run: &Gathered) {
    let rows = run.in_sight.len();
    if rows == 0 {
        return;
    }
    page.section("Satellites in sight", "Above the mask of each station, over time.");
    let most = run.in_sight.iter().filter_map(Series::whole).map(|whole| whole.2);
    let bounds = shades(most.fold(0.0, f64::max));
    legend(page, &bounds);
    let height = ROW * count(rows) + 40.0;
    page.put(format_args!(
        "<div class=\"scroll\"><svg class=\"cells\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Satellites in sight of each station over time\">"
    ));
    names(page, run, rows);
    let x = across(run);
    let mut paths = vec![String::new(); SHADES];
    let mut top = 0.0;
    for series in &run.in_sight {
        shade_row(series, run, &x, top + ROW / 2.0, &bounds, &mut paths);
        top += ROW;
    }
    for (shade, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
        page.put(format_args!(
            "<path style=\"--c:var(--h{shade})\" stroke-width=\"{}\" d=\"{path}\"/>",
            ROW - 3.0
        ));
    }
    time_axis(page, &x, ROW * count(rows) + 4.0, &run.time());
    page.put(format_args!("</svg></div>"));
    cut_note(page, run);
    page.end_section();
}

fn cut_note(page: &mut Page, run: &Gathered) {
    if STATIONS_MAX < run.head.stations.len() {
        page.put(format_args!(
            "<p class=\"note\">Shown are the first {STATIONS_MAX} of {} stations; the tables have all.</p>",
            run.head.stations.len()
        ));
    }
}

fn count(n: usize) -> f64 {
    super::super::real(n)
}

fn across(run: &Gathered) -> Scale {
    // A step lasts until the next one.
    let steps = run.seconds(run.steps.max(1)) / run.time().unit_s;
    Scale { values: (0.0, steps), places: (LEFT, RIGHT) }
}

/// The least number of each shade: 1, then parts of the greatest number; equal ones are left out when told.
fn shades(most: f64) -> [f64; SHADES] {
    [1.0, 0.25 * most, 0.45 * most, 0.65 * most, 0.85 * most].map(|bound| bound.ceil().max(1.0))
}

fn legend(page: &mut Page, bounds: &[f64; SHADES]) {
    page.put(format_args!("<figcaption><span class=\"key\">none: blank</span>"));
    for (shade, bound) in bounds.iter().enumerate() {
        let next = bounds.get(shade + 1);
        let text = match next {
            Some(next) if next <= bound => continue,
            Some(next) if next - 1.0 <= *bound => format!("{bound:.0}"),
            Some(next) => format!("{bound:.0} to {:.0}", next - 1.0),
            None => format!("{bound:.0} or more"),
        };
        page.put(format_args!(
            "<span class=\"key\" style=\"--c:var(--h{shade})\"><i class=\"box\"></i>{text}</span>"
        ));
    }
    page.put(format_args!("</figcaption>"));
}

/// Appends the stretches of one station to the path of their shade.
fn shade_row(
    series: &Series,
    run: &Gathered,
    x: &Scale,
    y: f64,
    bounds: &[f64; SHADES],
    paths: &mut [String],
) {
    let every = run.seconds(series.stride()) / run.time().unit_s;
    let shade_of = |mean: f64| bounds.iter().rposition(|bound| *bound - 0.5 <= mean);
    let shades: Vec<Option<usize>> =
        series.parts().iter().map(|part| part.band().and_then(|band| shade_of(band.1))).collect();
    let mut at = 0.0;
    for stretch in shades.chunk_by(|a, b| a == b) {
        let end = at + count(stretch.len()) * every;
        if let Some(path) = stretch.first().and_then(|shade| paths.get_mut((*shade)?)) {
            let (from, to) = (x.place(at), x.place(end.min(x.values.1)));
            let written = std::fmt::Write::write_fmt(path, format_args!("M{from:.1} {y}H{to:.1}"));
            written.expect("a String takes everything");
        }
        at = end;
    }
}

/// Writes the names of the first stations beside their rows.
fn names(page: &mut Page, run: &Gathered, rows: usize) {
    let mut top = 0.0;
    for station in run.head.stations.iter().take(rows) {
        let mut name: String = station.name.chars().take(NAME_CHARS).collect();
        if NAME_CHARS < station.name.chars().count() {
            name.push('…');
        }
        page.put(format_args!(
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 10.0,
            top + ROW / 2.0 + 4.0,
            escaped(&name)
        ));
        top += ROW;
    }
}

/// When each station holds links with which satellites.
pub(super) fn contacts(page: &mut Page, run: &Gathered) {
    if run.head.stations.is_empty() || run.steps == 0 {
        return;
    }
    let contacts = run.contacts.until(run.steps);
    let named = contacts.len() <= NAMED_MAX;
    let pointing = if named { " Point at a bar for its name." } else { "" };
    let lead = "Links of each station: a bar is one satellite, another shade the next one.";
    page.section("Contacts", &format!("{lead}{pointing}"));
    let rows = usize::try_from(run.contacts.stations).unwrap_or(STATIONS_MAX);
    let height = ROW * count(rows) + 40.0;
    page.put(format_args!(
        "<div class=\"scroll\"><svg class=\"gantt tips\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Contacts of each station over time\">"
    ));
    names(page, run, rows);
    let mut drawing = Drawing { run, x: across(run), named, paths: Default::default() };
    let mut hidden = run.contacts.cut;
    for of_station in contacts.chunk_by(|a, b| a.station == b.station) {
        hidden += drawing.station(page, of_station);
    }
    for (path, color) in drawing.paths.iter().zip(COLORS).filter(|(path, _)| !path.is_empty()) {
        page.put(format_args!("<path style=\"--c:var(--c{color})\" d=\"{path}\"/>"));
    }
    time_axis(page, &drawing.x, ROW * count(rows) + 4.0, &run.time());
    page.put(format_args!("</svg></div>"));
    if rows < run.head.stations.len() {
        page.put(format_args!(
            "<p class=\"note\">Shown are the first {rows} of {} stations; the table of links has all.</p>",
            run.head.stations.len()
        ));
    }
    if 0 < hidden {
        page.put(format_args!(
            "<p class=\"note\">{hidden} more contacts are not drawn: at most {LANES} of a station at a time.</p>"
        ));
    }
    page.end_section();
}

/// The contacts under way to the page.
struct Drawing<'a> {
    run: &'a Gathered,
    x: Scale,
    named: bool,
    /// Those without names, by colour.
    paths: [String; COLORS.len()],
}

impl Drawing<'_> {
    /// Draws the contacts of one station, ascending by beginning; answers how many found no lane.
    fn station(&mut self, page: &mut Page, contacts: &[Contact]) -> usize {
        let lanes = lanes(contacts);
        let used = lanes.iter().flatten().max().map_or(1, |lane| lane + 1);
        let tall = (ROW - 3.0) / count(used);
        let mut turns = [0_usize; LANES];
        for (contact, lane) in contacts.iter().zip(&lanes) {
            let Some(lane) = *lane else { continue };
            let turn = turns[lane] % COLORS.len();
            turns[lane] += 1;
            let top = ROW * f64::from(contact.station) + 1.5 + tall * count(lane);
            self.contact(page, contact, turn, (top, (tall - 0.5).max(0.5)));
        }
        lanes.iter().filter(|lane| lane.is_none()).count()
    }

    fn contact(
        &mut self,
        page: &mut Page,
        contact: &Contact,
        turn: usize,
        (top, tall): (f64, f64),
    ) {
        let time = self.run.time();
        let at = |step| self.run.seconds(step) / time.unit_s;
        let (from, until) = (at(contact.from), at(contact.until));
        let left = self.x.place(from);
        let wide = (self.x.place(until) - left - 0.6).max(0.6);
        if !self.named {
            let drawn = format_args!("M{left:.1} {top:.1}h{wide:.1}v{tall:.1}h-{wide:.1}z");
            let written = std::fmt::Write::write_fmt(&mut self.paths[turn], drawn);
            written.expect("a String takes everything");
            return;
        }
        let head = &self.run.head;
        let name = |name: Option<&String>| name.map_or_else(String::new, |name| escaped(name));
        page.put(format_args!(
            "<rect style=\"--c:var(--c{})\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{tall:.1}\" \
             data-tip=\"{}: {}&#10;{from:.1} to {until:.1} {}\"/>",
            COLORS[turn],
            name(head.stations.get(contact.station as usize).map(|station| &station.name)),
            name(head.satellites.get(contact.satellite as usize)),
            time.unit
        ));
    }
}

/// Gives each contact the first lane that is free when it begins; `None` when all are taken.
fn lanes(contacts: &[Contact]) -> Vec<Option<usize>> {
    let mut free_from = [0_u64; LANES];
    let mut lanes = Vec::with_capacity(contacts.len());
    for contact in contacts {
        let lane = free_from.iter().position(|free| *free <= contact.from);
        if let Some(free) = lane.and_then(|lane| free_from.get_mut(lane)) {
            *free = contact.until;
        }
        lanes.push(lane);
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_at_the_same_time_lie_in_different_lanes() {
        let contact = |from, until| Contact { station: 0, satellite: 0, from, until };
        let given = [(0, 4), (1, 5), (4, 9), (5, 6), (5, 7), (5, 8), (5, 9)];
        let contacts: Vec<Contact> = given.map(|(from, until)| contact(from, until)).into();
        let expected = [Some(0), Some(1), Some(0), Some(1), Some(2), Some(3), None];
        assert_eq!(lanes(&contacts), expected);
    }

    #[test]
    fn shades_ascend_and_the_first_is_one_satellite() {
        assert_eq!(shades(20.0).map(|bound| format!("{bound:.0}")), ["1", "5", "9", "13", "17"]);
        assert_eq!(shades(1.0).map(|bound| format!("{bound:.0}")), ["1"; SHADES]);
    }
}
