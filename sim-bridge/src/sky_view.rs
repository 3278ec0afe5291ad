//! `starbelt-sim sky`: the pairs of a sky at one instant, for people and for scripts.

use orbit::Sky;
use serde::Serialize;
use types::{Epoch, NodeId};

/// A sky at one instant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SkyView {
    /// The instant.
    pub at: Epoch,
    /// Satellites of the constellation.
    pub satellites: usize,
    /// Links between satellites in sight.
    pub isls: usize,
    /// Links between sites and satellites above the mask.
    pub ground_links: usize,
    /// All pairs of endpoints, sorted.
    pub pairs: Vec<PairView>,
}

/// The best path of a pair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairView {
    /// One endpoint.
    pub a: NodeId,
    /// The other one.
    pub b: NodeId,
    /// Whether there is a path; the rest is absent without.
    pub up: bool,
    /// One-way latency, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Links of the path; none at the same place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hops: Option<u16>,
    /// Bottleneck rate, kbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_kbps: Option<u32>,
}

impl SkyView {
    /// Looks at `sky` at `at`.
    pub fn new(sky: &Sky, at: Epoch) -> Self {
        let moment = sky.at(at);
        let view = |now: orbit::PairNow| PairView {
            a: now.a,
            b: now.b,
            up: now.state.is_some(),
            latency_ms: now.state.map(|path| path.latency.as_ms()),
            hops: now.state.map(|path| path.hops),
            rate_kbps: now.state.map(|path| path.rate_kbps),
        };
        Self {
            at,
            satellites: sky.satellites(),
            isls: moment.isl_count(),
            ground_links: moment.ground_link_count(),
            pairs: moment.pairs().into_iter().map(view).collect(),
        }
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let widest = |name: fn(&PairView) -> &NodeId| {
            self.pairs.iter().map(|pair| name(pair).as_str().len()).max().unwrap_or(0).max(1)
        };
        let (wide_a, wide_b) = (widest(|pair| &pair.a), widest(|pair| &pair.b));
        let head = format!(
            "{}: {} satellites, {} inter-satellite links, {} ground links\n{:wide_a$}  {:wide_b$}  \
             latency ms  hops\n",
            self.at, self.satellites, self.isls, self.ground_links, "A", "B"
        );
        let line = |pair: &PairView| {
            let (a, b) = (&pair.a, &pair.b);
            match (pair.latency_ms, pair.hops) {
                (Some(ms), Some(hops)) => {
                    format!("{a:wide_a$}  {b:wide_b$}  {ms:10.3}  {hops:4}\n")
                }
                _ => format!("{a:wide_a$}  {b:wide_b$}        down     -\n"),
            }
        };
        std::iter::once(head).chain(self.pairs.iter().map(line)).collect()
    }
}
