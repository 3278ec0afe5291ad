//! Plots of numbers over time.

use serde_json::json;

use super::gather::{Gathered, ROUTE_LINES_MAX, RouteStory, ratio};
use super::page::{Page, escaped};
use super::scale::{Scale, TimeAxis, ticks};
use super::series::Series;

/// Room for the numbers of the upright axis, pixels.
const LEFT: f64 = 52.0;
/// Room above, below and at the right, pixels.
const TOP: f64 = 10.0;
const BELOW: f64 = 34.0;
const RIGHT: f64 = 14.0;

/// A number over the run, as a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// What it is.
    pub(super) label: &'a str,
    /// Its colour, by number.
    pub(super) color: usize,
    /// The number.
    pub(super) series: &'a Series,
}

/// A plot of lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chart<'a> {
    /// What is plotted.
    pub(super) title: &'a str,
    /// The unit, with a space before; empty for counts.
    pub(super) unit: &'a str,
    /// Width and height of the plot with its axes, pixels.
    pub(super) size: (f64, f64),
    /// Whether the upright axis begins at 0.
    pub(super) from_zero: bool,
    /// The lines.
    pub(super) lines: &'a [Line<'a>],
}

/// The sky's links over time.
pub(super) fn links(page: &mut Page, run: &Gathered) {
    let lead = "How many links there are at each step, and how many of them came or went since the step before.";
    page.section("Links", lead);
    page.put(format_args!("<div class=\"two\">"));
    let size = (520.0, 230.0);
    let chart = |title, lines| Chart { title, unit: "", size, from_zero: true, lines };
    let mut lines = vec![Line { label: "links", color: 0, series: &run.isl }];
    if run.tree_edges.whole().is_some() {
        lines.push(Line { label: "spanning forest", color: 2, series: &run.tree_edges });
    }
    chart("Between satellites", &lines).draw(page, run);
    let lines = [Line { label: "links", color: 1, series: &run.ground }];
    chart("Between stations and satellites", &lines).draw(page, run);
    let lines = [
        Line { label: "between satellites", color: 0, series: &run.isl_changes },
        Line { label: "to stations", color: 1, series: &run.ground_changes },
    ];
    chart("Opened and closed per step", &lines).draw(page, run);
    let lines = [
        Line { label: "parts that hang together", color: 3, series: &run.components },
        Line { label: "satellites without a position", color: 7, series: &run.down },
    ];
    chart("Parts of the satellite network", &lines).draw(page, run);
    page.put(format_args!("</div>"));
    page.end_section();
}

/// The routes over time.
pub(super) fn routes(page: &mut Page, run: &Gathered) {
    if run.routes.is_empty() {
        return;
    }
    page.section("Routes", "One-way latency of each route; a gap is a time without a route.");
    let labels: Vec<String> =
        run.routes.iter().map(|route| format!("{} to {}", route.from, route.to)).collect();
    let lines: Vec<Line<'_>> = (0..ROUTE_LINES_MAX)
        .zip(labels.iter().zip(&run.routes))
        .map(|(color, (label, route))| Line { label, color, series: &route.latency })
        .collect();
    let size = (1080.0, 300.0);
    Chart { title: "Latency", unit: " ms", size, from_zero: false, lines: &lines }.draw(page, run);
    if ROUTE_LINES_MAX < run.routes.len() {
        page.put(format_args!(
            "<p class=\"note\">Drawn are the first {ROUTE_LINES_MAX} routes; the table has more.</p>"
        ));
    }
    page.put(format_args!(
        "<table><tr><th>route<th>found<th>least<th>mean<th>most<th>hops<th>path changes</tr>\n"
    ));
    for (label, route) in labels.iter().zip(&run.routes) {
        route_row(page, label, route, run.steps);
    }
    page.put(format_args!("</table>"));
    page.end_section();
}

fn route_row(page: &mut Page, label: &str, route: &RouteStory, steps: u64) {
    let percent = 100.0 * ratio(route.reachable, steps);
    page.put(format_args!("<tr><td>{}<td>{percent:.1} %", escaped(label)));
    match route.latency.whole() {
        Some((low, mean, high)) => {
            page.put(format_args!("<td>{low:.2} ms<td>{mean:.2} ms<td>{high:.2} ms"));
        }
        None => page.put(format_args!("<td>–<td>–<td>–")),
    }
    match route.hops.whole() {
        Some((_, mean, _)) => page.put(format_args!("<td>{mean:.1}")),
        None => page.put(format_args!("<td>–")),
    }
    page.put(format_args!("<td>{}</tr>\n", route.changes));
}

impl Chart<'_> {
    /// Draws it.
    pub(super) fn draw(&self, page: &mut Page, run: &Gathered) {
        let time = run.time();
        let plot = Plot::new(self.size, self.range(), &time);
        self.caption(page);
        let (width, height) = self.size;
        page.put(format_args!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\" data-chart=\"{}\">",
            escaped(self.title),
            escaped(&self.hover(run, &plot))
        ));
        plot.axes(page, &time);
        for line in self.lines {
            line.draw(page, run, &plot);
        }
        page.put(format_args!("</svg></figure>\n"));
    }

    fn caption(&self, page: &mut Page) {
        let unit = self.unit.trim();
        let unit = if unit.is_empty() { String::new() } else { format!(", {unit}") };
        page.put(format_args!("<figure><figcaption><h3>{}{unit}</h3>", escaped(self.title)));
        for line in self.lines {
            page.put(format_args!(
                "<span class=\"key\" style=\"--c:var(--c{})\"><i></i>{}</span>",
                line.color,
                escaped(line.label)
            ));
        }
        page.put(format_args!("</figcaption>"));
    }

    /// The least and greatest number of all lines.
    fn range(&self) -> (f64, f64) {
        let wholes = self.lines.iter().filter_map(|line| line.series.whole());
        let whole = wholes.map(|(low, _, high)| (low, high));
        let range = whole.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let (low, high) = range.unwrap_or((0.0, 1.0));
        // Few are drawn against whole numbers, without ticks between them.
        let least = if self.unit.is_empty() { 4.0 } else { 0.0 };
        if self.from_zero { (0.0_f64.min(low), high.max(least)) } else { (low, high) }
    }

    /// What the script shows under the pointer.
    fn hover(&self, run: &Gathered, plot: &Plot) -> String {
        let lines = self.lines.iter().map(|line| {
            let means = line.series.parts().iter().map(|part| part.band().map(|band| band.1));
            let values: Vec<_> = means.map(|mean| mean.map(|mean| round_to(mean, 100.0))).collect();
            json!({ "label": line.label, "values": values })
        });
        let series = self.lines.first().map(|line| line.series);
        let stride = series.map_or(1, Series::stride);
        let time = run.time();
        json!({
            "left": plot.x.places.0, "right": plot.x.places.1,
            "top": plot.y.places.1, "bottom": plot.y.places.0,
            "span": time.span(), "every": run.seconds(stride) / time.unit_s, "time": time.unit,
            "count": series.map_or(0, |series| series.parts().len()), "unit": self.unit,
            "lines": lines.collect::<Vec<_>>(),
        })
        .to_string()
    }
}

fn round_to(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

impl Line<'_> {
    fn draw(&self, page: &mut Page, run: &Gathered, plot: &Plot) {
        let time = run.time();
        let every = run.seconds(self.series.stride()) / time.unit_s;
        let mut x = 0.0;
        let mut points = Vec::new();
        for part in self.series.parts() {
            points.push((plot.x.place(x), part.band()));
            x += every;
        }
        page.put(format_args!("<g style=\"--c:var(--c{})\">", self.color));
        for stretch in points.split(|(_, band)| band.is_none()) {
            let known = || stretch.iter().filter_map(|(x, band)| band.map(|band| (*x, band)));
            if 1 < self.series.stride() && 1 < stretch.len() {
                let up = known().map(|(x, band)| (x, plot.y.place(band.2)));
                let back = known().rev().map(|(x, band)| (x, plot.y.place(band.0)));
                path(page, "band", up.chain(back), "z");
            }
            // A single point gets the length of nothing, which its round ends show.
            path(page, "line", known().map(|(x, band)| (x, plot.y.place(band.1))), "h0");
        }
        page.put(format_args!("</g>"));
    }
}

/// A path through these places; nothing without any.
pub(super) fn path(
    page: &mut Page,
    class: &str,
    places: impl Iterator<Item = (f64, f64)>,
    end: &str,
) {
    let mut sign = 'M';
    for (x, y) in places {
        if sign == 'M' {
            page.put(format_args!("<path class=\"{class}\" d=\""));
        }
        page.put(format_args!("{sign}{x:.1} {y:.1}"));
        sign = 'L';
    }
    if sign == 'L' {
        page.put(format_args!("{end}\"/>"));
    }
}

/// The axes of a plot over time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plot {
    /// Along time, in its unit.
    pub(super) x: Scale,
    /// Upright, upwards.
    pub(super) y: Scale,
}

impl Plot {
    /// For numbers of this range; the axis reaches to the next round ones.
    pub(super) fn new((width, height): (f64, f64), range: (f64, f64), time: &TimeAxis) -> Self {
        let (marks, _) = ticks(range.0, range.1, 4);
        let ends = (marks.first(), marks.last());
        let values = (ends.0.map_or(range.0, |v| *v), ends.1.map_or(range.1, |v| *v));
        Self {
            x: Scale { values: (0.0, time.span()), places: (LEFT, width - RIGHT) },
            y: Scale { values, places: (height - BELOW, TOP) },
        }
    }

    /// Draws the axes with their numbers.
    pub(super) fn axes(&self, page: &mut Page, time: &TimeAxis) {
        let ((left, right), (bottom, _)) = (self.x.places, self.y.places);
        let (marks, digits) = ticks(self.y.values.0, self.y.values.1, 4);
        // Round numbers of the finer step may lie beyond the ends of the axis.
        let (low, high) = self.y.values;
        let slack = 1.0e-9 * (high - low);
        let on_axis = low - slack..=high + slack;
        for mark in marks.into_iter().filter(|mark| on_axis.contains(mark)) {
            let y = self.y.place(mark);
            page.put(format_args!(
                "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{mark:.digits$}</text>",
                left - 8.0,
                y + 4.0
            ));
        }
        time_axis(page, &self.x, bottom, time);
    }
}

/// Draws the axis of time at this height.
pub(super) fn time_axis(page: &mut Page, x: &Scale, y: f64, time: &TimeAxis) {
    let (left, right) = x.places;
    page.put(format_args!("<path class=\"axis\" d=\"M{left} {y:.1}H{right}\"/>"));
    let wide = 700.0 < right - left;
    let (marks, digits) = ticks(0.0, time.span(), if wide { 10 } else { 5 });
    for mark in marks.into_iter().filter(|mark| *mark <= time.span() * 1.000_1) {
        let at = x.place(mark);
        page.put(format_args!(
            "<path class=\"axis\" d=\"M{at:.1} {y:.1}v4\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{mark:.digits$}</text>",
            y + 16.0
        ));
    }
    page.put(format_args!(
        "<text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">time since start, {}</text>",
        y + 30.0,
        time.unit
    ));
}
