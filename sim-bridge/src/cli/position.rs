//! `starbelt-sim position`: where satellites are at an instant, and where a station sees them.

use orbit::eclipse::beta_angle_deg;
use orbit::frame::PolarTurn;
use orbit::geodesy;
use orbit::link_model::doppler_hz;
use orbit::look::Observer;
use orbit::pass::Whereabouts;
use orbit::propagate::{PropagateError, State};
use orbit::sunlight::{sun_teme_km, sunlit_fraction};
use serde::Serialize;
use types::Epoch;

use super::CommandError;
use super::answer::{AnswerArgs, table};
use super::motion::{self, MotionArgs};
use super::source::{Source, SourceArgs};

/// The highest carrier, Hz: that of violet light.
const CARRIER_HZ_MAX: f64 = 1.0e15;

/// A carrier, for the command line.
fn carrier_hz(text: &str) -> Result<f64, String> {
    let hz = text.parse::<f64>().ok().filter(|hz| 0.0 < *hz && *hz <= CARRIER_HZ_MAX);
    hz.ok_or_else(|| format!("must be a number above 0, up to {CARRIER_HZ_MAX:e} Hz"))
}

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
    /// The carrier whose Doppler shift the station is told, Hz
    #[arg(long, value_name = "HZ", requires = "station", value_parser = carrier_hz)]
    pub frequency: Option<f64>,
    /// How they move.
    #[command(flatten)]
    pub motion: MotionArgs,
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
    /// The angle of its orbit's plane to the Sun, degrees; above 0 when the Sun stands on the side of the angular momentum.
    pub beta_deg: Option<f64>,
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
    /// What its carrier sounds like there; absent when no carrier is named.
    #[serde(flatten)]
    pub carrier: Option<CarrierNow>,
}

/// What becomes of a carrier; unknown when the satellite is down.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CarrierNow {
    /// By how much it is received higher than it was sent, Hz.
    pub doppler_hz: Option<f64>,
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// [`CommandError`], whose exit code tells the kind.
    pub fn run(&self) -> Result<(), CommandError> {
        let source = self.source.load()?;
        source.warn_at((self.at, self.at))?;
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
        let model = self.motion.propagator(&elements, self.at);
        let (turn, sun_km) = (model.ground_turn(self.at), sun_teme_km(self.at));
        let scene = Scene { turn, sun_km, observer, carrier_hz: self.frequency };
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
    carrier_hz: Option<f64>,
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
            beta_deg: None,
            look: self.observer.map(|_| self.unknown_look()),
        };
        match state {
            Err(reason) => now.down = Some(reason.to_string()),
            Ok(state) => self.fill(&mut now, state),
        }
        now
    }

    fn unknown_look(&self) -> LookNow {
        let carrier = self.carrier_hz.map(|_| CarrierNow::default());
        LookNow { carrier, ..LookNow::default() }
    }

    fn fill(&self, now: &mut SatelliteNow, state: State) {
        let ecef = self.turn.state_to_ecef(state);
        let place = geodesy::from_ecef_km(ecef.0);
        (now.teme_km, now.teme_km_s, now.ecef_km) = (Some(state.0), Some(state.1), Some(ecef.0));
        now.lat_deg = Some(place.lat_deg);
        now.lon_deg = Some(place.lon_deg);
        now.alt_km = Some(place.alt_km);
        now.sunlit = Some(sunlit_fraction(state.0, self.sun_km));
        now.beta_deg = Some(beta_angle_deg(state, self.sun_km));
        now.look = self.observer.map(|observer| {
            let look = observer.look(ecef);
            LookNow {
                azimuth_deg: Some(look.azimuth_deg),
                elevation_deg: Some(look.elevation_deg),
                range_km: Some(look.range_km),
                range_rate_km_s: Some(look.range_rate_km_s),
                carrier: self.carrier_hz.map(|hz| CarrierNow {
                    doppler_hz: Some(doppler_hz(hz, look.range_rate_km_s)),
                }),
            }
        });
    }
}

impl Answer {
    /// A table for people.
    pub fn table(&self) -> String {
        let look = self.satellites.iter().find_map(|now| now.look);
        let mut head = vec!["SATELLITE", "  LAT DEG", "  LON DEG", "     ALT KM", "SUNLIT"];
        head.push("BETA DEG");
        if look.is_some() {
            head.extend(["AZIMUTH", "ELEVATION", "   RANGE KM", "   KM/S"]);
        }
        if look.is_some_and(|look| look.carrier.is_some()) {
            head.push(" DOPPLER HZ");
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
        row.extend([cell(self.alt_km, 11, 3), cell(self.sunlit, 6, 3), cell(self.beta_deg, 8, 3)]);
        if let Some(look) = self.look {
            row.extend([cell(look.azimuth_deg, 7, 2), cell(look.elevation_deg, 9, 2)]);
            row.extend([cell(look.range_km, 11, 3), cell(look.range_rate_km_s, 7, 3)]);
            row.extend(look.carrier.map(|carrier| cell(carrier.doppler_hz, 11, 1)));
        }
        row
    }
}
