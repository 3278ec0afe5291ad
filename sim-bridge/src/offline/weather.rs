//! Rain over stations, and when it falls.

use types::Epoch;

use super::nodes::{Nodes, UnknownName};
use super::scenario::WeatherEntry;

/// Rain that falls nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeatherError {
    /// A name.
    #[error("weather[{entry}].stations: {source}")]
    Unknown {
        /// The entry of the scenario, from 0.
        entry: usize,
        /// The name.
        source: UnknownName,
    },
    /// A place without rain.
    #[error("weather[{entry}].stations: {name:?} is a satellite; rain falls on stations")]
    Satellite {
        /// The entry of the scenario, from 0.
        entry: usize,
        /// The satellite.
        name: String,
    },
}

/// Rain for a time.
#[derive(Clone, Debug)]
struct Rain {
    from: Epoch,
    to: Option<Epoch>,
    /// By index.
    stations: Vec<usize>,
    rain_mm_h: f64,
}

/// All the rain of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Rains(Vec<Rain>);

impl Rains {
    /// Of the entries of a scenario that starts at `start`.
    ///
    /// # Errors
    /// [`WeatherError`].
    pub fn new(
        entries: &[WeatherEntry],
        nodes: &Nodes,
        start: Epoch,
    ) -> Result<Self, WeatherError> {
        let rain = |(index, entry): (usize, &WeatherEntry)| {
            Ok(Rain {
                from: start.plus_s(entry.from_s),
                to: entry.to_s.map(|to_s| start.plus_s(to_s)),
                stations: stations(index, entry, nodes)?,
                rain_mm_h: entry.rain_mm_h,
            })
        };
        entries.iter().enumerate().map(rain).collect::<Result<_, _>>().map(Self)
    }

    /// How much it rains on each of so many stations, mm/h: from `from_s` on, until `to_s`, which is not included; where
    /// several entries hold, the most of them.
    pub fn at(&self, at: Epoch, stations: usize, rain_mm_h: &mut Vec<f64>) {
        rain_mm_h.clear();
        rain_mm_h.resize(stations, 0.0);
        let holds = |rain: &&Rain| rain.from <= at && rain.to.is_none_or(|to| at < to);
        for rain in self.0.iter().filter(holds) {
            for station in &rain.stations {
                rain_mm_h[*station] = rain.rain_mm_h.max(rain_mm_h[*station]);
            }
        }
    }
}

/// The stations that an entry names: all without a name.
fn stations(
    entry: usize,
    weather: &WeatherEntry,
    nodes: &Nodes,
) -> Result<Vec<usize>, WeatherError> {
    if weather.stations.is_empty() {
        return Ok((0..nodes.stations().len()).collect());
    }
    let station = |name: &String| {
        let node = nodes.find(name).map_err(|source| WeatherError::Unknown { entry, source })?;
        let station = node.index().checked_sub(nodes.satellites());
        station.ok_or_else(|| WeatherError::Satellite { entry, name: name.clone() })
    };
    weather.stations.iter().map(station).collect()
}
