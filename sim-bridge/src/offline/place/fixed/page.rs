//! A comparison as one page: where ours is best and where not, a plot of each measure over the load, and all numbers. It needs no other file
//! and no script.

use std::fmt::Write as _;

use super::compare::{BothGood, Comparison, MEASURES, Measure, OURS, Row};
use super::plot::{plot, sample};
use super::statistics::Estimate;
use super::verdict::Verdict;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2330;--soft:#5d6778;--line:#d9dee6;--card:#f6f8fa;--page:#fff;--good:#0a7d4f;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e3e8ef;--soft:#98a3b3;--line:#333c49;--card:#1a2029;--page:#12161c;--good:#4cc38a;--bad:#ff8f80}}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1160px;padding:0 1rem;color:var(--ink);background:var(--page)}
h1{font-size:1.6rem;margin:0}h2{margin:2.2rem 0 .4rem;font-size:1.15rem}p{margin:.4rem 0}.soft{color:var(--soft)}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:14px}
figure{margin:0;padding:12px 12px 4px;border-radius:8px;background:var(--card)}figcaption{font-weight:600}figure svg{width:100%;height:auto}
svg text{font-size:11px;fill:var(--soft)}.grid{stroke:var(--line);fill:none}.bar{stroke-width:1;fill:none}
.key{display:flex;flex-wrap:wrap;gap:4px 18px;position:sticky;top:0;padding:8px 0;background:var(--page)}.sample{margin-right:6px}
table{border-collapse:collapse;margin:.6rem 0;font-variant-numeric:tabular-nums}th,td{padding:3px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{font-weight:600;color:var(--soft);vertical-align:bottom}th:first-child,td:first-child{text-align:left}.verdicts th,.verdicts td{text-align:left}.verdicts td+td{min-width:9em;white-space:normal}
.ours td{font-weight:600;background:var(--card)}small{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}.wide{overflow-x:auto}";

const READING: &str = "<p class=\"soft\">Each cell: the mean with half of its 95 % confidence interval; below it the policy minus lookahead, run by run on the same sky and \
workload: <span class=\"good\">green</span> where lookahead is surely better, <span class=\"bad\">red</span> where it is surely worse, grey where the interval holds 0. \
<em>Wh if both good</em> compares the batteries at equal success: of the workflows alone that the policy and lookahead made good in the same run, what each drew for the policy and for lookahead, and what that saves. \
Who places little violates little: read violated seconds beside unplaced workflows.</p>";

/// The whole page.
pub fn page(found: &Comparison) -> String {
    let (loads, policies) = (loads(found), policies(found));
    let mut out = String::new();
    head(&mut out, found);
    verdicts(&mut out, found, &loads);
    out.push_str("<h2>Over the load</h2><div class=\"key\">");
    for (at, policy) in policies.iter().enumerate() {
        out.push_str("<span>");
        sample(&mut out, at);
        put(&mut out, format_args!("{policy}</span>"));
    }
    out.push_str("</div><div class=\"plots\">");
    for measure in &MEASURES {
        plot(&mut out, found, (&loads, &policies), measure);
    }
    out.push_str("</div><h2>All numbers</h2>");
    out.push_str(READING);
    for load in loads {
        numbers(&mut out, found, load);
    }
    out.push_str("</body></html>\n");
    out
}

/// Writing into a text cannot fail.
pub(super) fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a text takes everything");
}

fn head(out: &mut String, found: &Comparison) {
    put(
        out,
        format_args!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{0}</title><style>{STYLE}</style></head><body><h1>Policies of placement on {0}</h1>",
            found.scenario
        ),
    );
    let nodes: Vec<_> = found.nodes.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let (seeds, starts) = (found.seeds.len(), found.starts.len());
    put(
        out,
        format_args!(
            "<p class=\"soft\">{}. Workflows are submitted in {} minutes; {seeds} seeds × {starts} starts for each load and policy.</p>",
            nodes.join(", "),
            found.minutes
        ),
    );
}

/// What is claimed, load by load.
fn verdicts(out: &mut String, found: &Comparison, loads: &[usize]) {
    let mut claims: Vec<&'static str> = Vec::new();
    for verdict in &found.verdicts {
        if !claims.contains(&verdict.measure) {
            claims.push(verdict.measure);
        }
    }
    if claims.is_empty() {
        return;
    }
    put(
        out,
        format_args!(
            "<h2>Where {OURS} is best, and where it is not</h2><div class=\"wide\"><table class=\"verdicts\"><tr><th>workflows"
        ),
    );
    for load in loads {
        put(out, format_args!("<th>{load}"));
    }
    out.push_str("</tr>");
    for claim in claims {
        put(out, format_args!("<tr><td>{}", claim.replace('_', " ")));
        for verdict in found.verdicts.iter().filter(|verdict| verdict.measure == claim) {
            verdict_cell(out, verdict);
        }
        out.push_str("</tr>");
    }
    out.push_str("</table></div>");
}

fn verdict_cell(out: &mut String, verdict: &Verdict) {
    let Verdict { surely_worse, others, .. } = verdict;
    if verdict.is_best() {
        let (class, said) =
            if *surely_worse == 0 { ("soft", "none better") } else { ("good", "best") };
        put(out, format_args!("<td><span class=\"{class}\">{said}</span>"));
    } else {
        let class = if verdict.surely_better.is_empty() { "soft" } else { "bad" };
        let who = verdict.surely_better.iter().cloned();
        let perhaps = verdict.perhaps_better.iter().map(|who| format!("perhaps {who}"));
        let who: Vec<_> = who.chain(perhaps).collect();
        put(out, format_args!("<td><span class=\"{class}\">not best: {}</span>", who.join(", ")));
    }
    put(out, format_args!("<br><small>surely better than {surely_worse} of {others}</small>"));
}

fn policies(found: &Comparison) -> Vec<&str> {
    let mut all: Vec<&str> = Vec::new();
    for row in &found.rows {
        if !all.contains(&row.policy.as_str()) {
            all.push(&row.policy);
        }
    }
    all
}

fn loads(found: &Comparison) -> Vec<usize> {
    let mut all: Vec<usize> = found.rows.iter().map(|row| row.load).collect();
    all.dedup();
    all
}

fn numbers(out: &mut String, found: &Comparison, load: usize) {
    put(out, format_args!("<h3>{load} workflows</h3><div class=\"wide\"><table><tr><th>policy"));
    for measure in &MEASURES {
        put(out, format_args!("<th>{}", measure.title));
    }
    out.push_str("<th>Wh if both good<th>decisions, ms<br><small>median, 99 %</small></tr>");
    let rows = found.rows.iter().zip(&found.timing).filter(|(row, _)| row.load == load);
    for (row, timing) in rows {
        let class = if row.policy == OURS { " class=\"ours\"" } else { "" };
        put(out, format_args!("<tr{class}><td>{}", row.policy));
        for measure in &MEASURES {
            cell(out, row, measure);
        }
        both(out, row.both_good.as_ref());
        let ms = |us: u64| format!("{}.{:02}", us / 1000, us % 1000 / 10);
        let (median, most) = (ms(timing.timing.p50_us), ms(timing.timing.p99_us));
        put(out, format_args!("<td>{median}<br><small>{most}</small></tr>"));
    }
    out.push_str("</table></div>");
}

fn cell(out: &mut String, row: &Row, measure: &Measure) {
    let Some(mean) = row.means.get(measure.key) else {
        out.push_str("<td>-");
        return;
    };
    put(out, format_args!("<td>{}", told(mean, measure.digits)));
    let Some(less) = row.minus_ours.get(measure.key) else { return };
    let (mean, digits) = (less.mean, measure.digits);
    let class = match measure.more_is_better {
        Some(more_is_better) if less.is_sure() => {
            if (0.0 < mean) == more_is_better {
                "bad"
            } else {
                "good"
            }
        }
        _ => "soft",
    };
    let half = less.ci95.map(|half| format!(" ± {half:.digits$}")).unwrap_or_default();
    put(out, format_args!("<br><small class=\"{class}\">{mean:+.digits$}{half}</small>"));
}

fn both(out: &mut String, both: Option<&BothGood>) {
    let Some(both) = both.filter(|both| 0 < both.workflows) else {
        out.push_str("<td>-");
        return;
    };
    let BothGood { its_wh, ours_wh, .. } = both;
    put(out, format_args!("<td>{its_wh:.3}, {ours_wh:.3}"));
    let Some(saved) = both.saved else { return };
    let percent = Estimate {
        mean: 100.0 * saved.mean,
        ci95: saved.ci95.map(|half| 100.0 * half),
        of: saved.of,
    };
    let class = match (saved.is_sure(), 0.0 < saved.mean) {
        (false, _) => "soft",
        (true, true) => "good",
        (true, false) => "bad",
    };
    put(out, format_args!("<br><small class=\"{class}\">saves {} %</small>", told(&percent, 0)));
}

/// A number with its interval, as people read it.
fn told(estimate: &Estimate, digits: usize) -> String {
    let mean = format!("{:.digits$}", estimate.mean);
    estimate.ci95.map_or_else(|| mean.clone(), |half| format!("{mean} ± {half:.digits$}"))
}
