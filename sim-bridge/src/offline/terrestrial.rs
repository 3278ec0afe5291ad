//! Cables between stations.

use orbit::geodesy::great_circle_km;
use orbit::ground::StationNow;
use topology::Link;

use super::link_cost::{cable_us, kbps};
use super::nodes::{Nodes, UnknownName};
use super::scenario::TerrestrialEntry;

/// Most cables: all pairs of 1,400 stations.
pub const CABLES_MAX: usize = 1_000_000;

/// Why cables cannot be laid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TerrestrialError {
    /// A name.
    #[error("terrestrial[{entry}]: {source}")]
    Unknown {
        /// The entry of the scenario, from 0.
        entry: usize,
        /// The name.
        source: UnknownName,
    },
    /// An end that is no station.
    #[error("terrestrial[{entry}]: {name:?} is a satellite; cables join stations")]
    Satellite {
        /// The entry of the scenario, from 0.
        entry: usize,
        /// The satellite.
        name: String,
    },
    /// No station is of this kind.
    #[error("terrestrial[{entry}]: no station is of {kind:?}; kinds are ground, cloud, edge, user")]
    NoSuchKind {
        /// The entry of the scenario, from 0.
        entry: usize,
        /// What was asked for.
        kind: String,
    },
    /// Too many.
    #[error("there are more than {CABLES_MAX} cables")]
    TooMany,
}

/// A cable between two stations, by index.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cable {
    ends: (usize, usize),
    length_factor: f64,
    speed_factor: f64,
    rate_kbps: u32,
    loss_ppm: u32,
    jitter_us: Option<f64>,
}

/// All cables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cables(Vec<Cable>);

impl Cables {
    /// Of the entries of a scenario.
    ///
    /// # Errors
    /// [`TerrestrialError`].
    pub fn new(entries: &[TerrestrialEntry], nodes: &Nodes) -> Result<Self, TerrestrialError> {
        let mut cables = Vec::new();
        for (number, entry) in entries.iter().enumerate() {
            let (from, to) = (ends(number, &entry.a, nodes)?, ends(number, &entry.b, nodes)?);
            let mut pairs: Vec<(usize, usize)> = from
                .iter()
                .flat_map(|a| to.iter().map(move |b| (*a.min(b), *a.max(b))))
                .filter(|(a, b)| a != b)
                .collect();
            pairs.sort_unstable();
            pairs.dedup();
            if CABLES_MAX < cables.len() + pairs.len() {
                return Err(TerrestrialError::TooMany);
            }
            cables.extend(pairs.into_iter().map(|ends| Cable {
                ends,
                length_factor: entry.length_factor,
                speed_factor: entry.speed_factor,
                rate_kbps: kbps(entry.rate_mbps),
                loss_ppm: entry.loss_ppm,
                jitter_us: entry.jitter_us,
            }));
        }
        Ok(Self(cables))
    }

    /// The cables as links, where the stations are now, each with its jitter in microseconds if that is known.
    pub fn links<'a>(
        &'a self,
        nodes: &'a Nodes,
        stations: &'a [StationNow],
    ) -> impl Iterator<Item = (Link, Option<f64>)> + 'a {
        self.0.iter().map(|cable| {
            let (a, b) = cable.ends;
            let ground_km = great_circle_km(&stations[a].place, &stations[b].place);
            let link = Link {
                a: nodes.of_station(a),
                b: nodes.of_station(b),
                delay_us: cable_us(ground_km * cable.length_factor, cable.speed_factor),
                rate_kbps: cable.rate_kbps,
                loss_ppm: cable.loss_ppm,
            };
            (link, cable.jitter_us)
        })
    }
}

/// The stations that one end of an entry names.
fn ends(entry: usize, name: &str, nodes: &Nodes) -> Result<Vec<usize>, TerrestrialError> {
    let stations = nodes.stations();
    if let Some(kind) = name.strip_prefix("kind:") {
        let of_kind = stations.iter().enumerate().filter(|(_, s)| s.kind.to_string() == kind);
        let found: Vec<usize> = of_kind.map(|(index, _)| index).collect();
        let kind = name.to_owned();
        return if found.is_empty() {
            Err(TerrestrialError::NoSuchKind { entry, kind })
        } else {
            Ok(found)
        };
    }
    let node = nodes.find(name).map_err(|source| TerrestrialError::Unknown { entry, source })?;
    match node.index().checked_sub(nodes.satellites()) {
        Some(station) => Ok(vec![station]),
        None => Err(TerrestrialError::Satellite { entry, name: name.to_owned() }),
    }
}
