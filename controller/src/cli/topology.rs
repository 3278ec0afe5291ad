//! `starbelt topo`.

use types::NodeId;

use super::client::Client;
use super::output::{span, table};
use super::{CliError, Format, Printed};
use crate::api::{ClockInfo, PlanInfo, WindowInfo};
use crate::exit_code;

pub(super) fn next_contact(
    client: &Client,
    format: Format,
    (a, b): (&NodeId, &NodeId),
    latency_ms: Option<f64>,
) -> Result<Printed, CliError> {
    let mut query = vec![("a", a.to_string()), ("b", b.to_string())];
    query.extend(latency_ms.map(|ms| ("latency_ms", ms.to_string())));
    let answer = client.get::<PlanInfo>("/plan", &query)?;
    let windows = answer.value.asked.as_ref().map(|asked| asked.windows.as_slice());
    let Some(window) = windows.and_then(<[WindowInfo]>::first) else {
        let is_direct = answer.value.asked.as_ref().is_some_and(|asked| asked.hops_max == Some(1));
        let need = match latency_ms {
            Some(ms) => format!(" within {ms} ms"),
            None if is_direct => String::from(" by sight (try --latency-ms for paths over others)"),
            None => String::new(),
        };
        let end = answer.value.end;
        let message =
            format!("{a} and {b} have no contact{need} until {end:.0}, the end of the plan");
        return Err(CliError::new(exit_code::NOT_FOUND, message));
    };
    let now = client.get::<ClockInfo>("/clock", &[])?.value.sky;
    Ok(answer.print(format, |_| {
        let opens_in_s = window.open.seconds_since(now);
        let when =
            if 0.0 < opens_in_s { format!("in {}", span(opens_in_s)) } else { "now".to_owned() };
        let close = if window.close_known {
            format!("{:.0}", window.close)
        } else {
            format!("after {:.0}", window.close)
        };
        let row = [
            window.a.to_string(),
            window.b.to_string(),
            when,
            format!("{:.0}", window.open),
            close,
            span(window.close.seconds_since(window.open)),
            format!("{:.1} ms", window.latency_max_ms),
            window.id.clone(),
        ];
        let header = ["A", "B", "CONTACT", "OPEN", "CLOSE", "LASTS", "LATENCY AT MOST", "WINDOW"];
        table(header, &[row])
    }))
}
