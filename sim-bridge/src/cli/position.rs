//! `starbelt-sim position`: where satellites are at an instant, and where a station sees them.

use std::sync::Arc;

use orbit::frame::PolarTurn;
use orbit::geodesy;
use orbit::look::Observer;
use orbit::pass::Whereabouts;
use orbit::propagate::{ModelKind, PropagateError, State};
use orbit::sunlight::{sun_teme_km, sunlit_fraction};
use serde::Serialize;
use types::Epoch;

use super::CommandError;
use super::answer::{AnswerArgs, table};
use super::motion;
use super::source::{Source, SourceArgs};

/// What is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The constellation and the stations.
    #[command(flatten)]
    pub source: SourceArgs,
    /// The instant, RFC 3339 in UTC
    #[arg(long, value_name = "TIME", value_parser = Epoch::parse)]
    pub at: Epoch,
    /// The station that looks; without it nobody does
    #[arg(long, value_name = "NAME")]
    pub station: Option<String>,
    /// Only this satellite; may be repeated
    #[arg(long, value_name = "NAME")]
    pub sat: Vec<String>,
    /// How they move: sgp4, kepler-j2 or stardust-compat
    #[arg(long, value_name = "MODEL", default_value = "sgp4", value_parser = motion::model)]
    pub model: ModelKind,
    /// When the simulation began, at which stardust-compat has the ground along the axes; without it the instant itself
    #[arg(long, value_name = "TIME", value_parser = Epoch::parse)]
    pub start: Option<Epoch>,
    /// Where the answer goes.
    #[command(flatten)]
    pub answer: AnswerArgs,
}

/// Where satellites are.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The instant.
    pub time: Epoch,
    /// The model of motion.
    pub model: &'static str,
    /// The satellites, in the order of the source.
    pub satellites: Vec<SatelliteNow>,
}

/// Where a satellite is; everything but the name is unknown when it is down.
#[derive(Clone, Debug, Serialize)]
pub struct SatelliteNow {
    /// Its name.
    pub name: String,
    /// Why the model has no position for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down: Option<String>,
    /// Position in TEME, km.
    pub teme_km: Option<[f64; 3]>,
    /// Velocity in TEME, km/s.
    pub teme_km_s: Option<[f64; 3]>,
    /// Earth-fixed position, km.
    pub ecef_km: Option<[f64; 3]>,
    /// Geodetic latitude (WGS-84), degrees.
    pub lat_deg: Option<f64>,
    /// Longitude, degrees, -180 to 180.
    pub lon_deg: Option<f64>,
    /// Height above the ellipsoid, km.
    pub alt_km: Option<f64>,
    /// The part of the Sun's disk that it sees, 0 to 1.
    pub sunlit: Option<f64>,
    /// Where the station sees it; absent when no station looks.
    #[serde(flatten)]
    pub look: Option<LookNow>,
}

/// Where a station sees a satellite, also below its horizon; unknown when the satellite is down.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct LookNow {
    /// From north over east, degrees.
    pub azimuth_deg: Option<f64>,
    /// Above the horizon, without refraction, degrees.
    pub elevation_deg: Option<f64>,
    /// Distance, km.
    pub range_km: Option<f64>,
    /// How fast it grows, km/s.
    pub range_rate_km_s: Option<f64>,
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// [`CommandError`], whose exit code tells the kind.
    pub fn run(&self) -> Result<(), CommandError> {
        let source = self.source.load()?;
        source.warn_at(self.at)?;
        let answer = self.answer(&source)?;
        self.answer.write(&answer, || answer.table())
    }

    /// The answer.
    ///
    /// # Errors
    /// [`CommandError`] for names that the source does not have.
    pub fn answer(&self, source: &Source) -> Result<Answer, CommandError> {
        let satellites = motion::satellites(source, &self.sat)?;
        let observer = self.observer(source)?;
        let elements = motion::chosen(&source.elements, &satellites);
        let start = self.start.unwrap_or(self.at);
        let model = self.model.propagator(Arc::clone(&elements), start);
        let scene =
            Scene { turn: model.ground_turn(self.at), sun_km: sun_teme_km(self.at), observer };
        let now = elements
            .iter()
            .enumerate()
            .map(|(index, e)| scene.satellite(&e.name, model.state(index, self.at)))
            .collect();
        Ok(Answer { time: self.at, model: model.name(), satellites: now })
    }

    fn observer(&self, source: &Source) -> Result<Option<Observer>, CommandError> {
        let Some(name) = &self.station else { return Ok(None) };
        let index = motion::stations(source, std::slice::from_ref(name))?[0];
        let station = &source.stations[index as usize];
        Ok(Some(Whereabouts::of(station).observer(self.at)))
    }
}

/// What is the same for all satellites.
struct Scene {
    turn: PolarTurn,
    sun_km: [f64; 3],
    observer: Option<Observer>,
}

impl Scene {
    fn satellite(&self, name: &str, state: Result<State, PropagateError>) -> SatelliteNow {
        let mut now = SatelliteNow {
            name: name.to_owned(),
            down: None,
            teme_km: None,
            teme_km_s: None,
            ecef_km: None,
            lat_deg: None,
            lon_deg: None,
            alt_km: None,
            sunlit: None,
            look: self.observer.map(|_| LookNow::default()),
        };
        match state {
            Err(reason) => now.down = Some(reason.to_string()),
            Ok(state) => self.fill(&mut now, state),
        }
        now
    }

    fn fill(&self, now: &mut SatelliteNow, state: State) {
        let ecef = self.turn.state_to_ecef(state);
        let place = geodesy::from_ecef_km(ecef.0);
        (now.teme_km, now.teme_km_s, now.ecef_km) = (Some(state.0), Some(state.1), Some(ecef.0));
        now.lat_deg = Some(place.lat_deg);
        now.lon_deg = Some(place.lon_deg);
        now.alt_km = Some(place.alt_km);
        now.sunlit = Some(sunlit_fraction(state.0, self.sun_km));
        now.look = self.observer.map(|observer| {
            let look = observer.look(ecef);
            LookNow {
                azimuth_deg: Some(look.azimuth_deg),
                elevation_deg: Some(look.elevation_deg),
                range_km: Some(look.range_km),
                range_rate_km_s: Some(look.range_rate_km_s),
            }
        });
    }
}

impl Answer {
    /// A table for people.
    pub fn table(&self) -> String {
        let looks = self.satellites.iter().any(|now| now.look.is_some());
        let mut head = vec!["SATELLITE", "  LAT DEG", "  LON DEG", "     ALT KM", "SUNLIT"];
        if looks {
            head.extend(["AZIMUTH", "ELEVATION", "   RANGE KM", "   KM/S"]);
        }
        let rows: Vec<Vec<String>> = self.satellites.iter().map(SatelliteNow::row).collect();
        format!("{} ({})\n{}", self.time, self.model, table(&head, &rows))
    }
}

impl SatelliteNow {
    fn row(&self) -> Vec<String> {
        if let Some(reason) = &self.down {
            return vec![self.name.clone(), format!("down: {reason}")];
        }
        let cell = |value: Option<f64>, width: usize, digits: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:width$.digits$}"))
        };
        let mut row = vec![self.name.clone(), cell(self.lat_deg, 9, 4), cell(self.lon_deg, 9, 4)];
        row.extend([cell(self.alt_km, 11, 3), cell(self.sunlit, 6, 3)]);
        if let Some(look) = self.look {
            row.extend([cell(look.azimuth_deg, 7, 2), cell(look.elevation_deg, 9, 2)]);
            row.extend([cell(look.range_km, 11, 3), cell(look.range_rate_km_s, 7, 3)]);
        }
        row
    }
}
