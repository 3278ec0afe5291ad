//! `starbelt-sim contacts`: when stations see satellites.

use orbit::pass::{Pass, Search, Site};
use serde::Serialize;
use types::Epoch;

use super::CommandError;
use super::answer::{AnswerArgs, table};
use super::motion::{self, MotionArgs};
use super::source::{Source, SourceArgs};

/// Lowest elevation where neither the command nor the station has one, degrees: that of user terminals of low constellations.
const MIN_ELEVATION_DEG: f64 = 25.0;

/// What is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The constellation and the stations.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Only this satellite; may be repeated
    #[arg(long, value_name = "NAME")]
    pub sat: Vec<String>,
    /// Only this station; may be repeated
    #[arg(long, value_name = "NAME")]
    pub station: Vec<String>,
    /// The begin, RFC 3339 in UTC; a satellite that is up then rises then
    #[arg(long, value_name = "TIME", value_parser = Epoch::parse)]
    pub from: Epoch,
    /// The end; a satellite that is up then sets then
    #[arg(long, value_name = "TIME", value_parser = Epoch::parse)]
    pub to: Epoch,
    /// Lowest elevation for all stations, degrees, 0 to below 90; without it each station's own, or 25
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true)]
    pub min_elevation: Option<f64>,
    /// How they move.
    #[command(flatten)]
    pub motion: MotionArgs,
    /// Where the answer goes.
    #[command(flatten)]
    pub answer: AnswerArgs,
}

/// A time in which a station sees a satellite.
#[derive(Clone, Debug, Serialize)]
pub struct Contact {
    /// The satellite's name.
    pub satellite: String,
    /// The station's name.
    pub station: String,
    /// When it rises above the mask.
    pub rise: Epoch,
    /// When it sets below it.
    pub set: Epoch,
    /// Its highest elevation in between, degrees.
    pub max_elevation_deg: f64,
    /// When it stands there.
    pub max_at: Epoch,
    /// False when it was up at the begin.
    #[serde(skip)]
    pub rise_known: bool,
    /// False when it is up at the end.
    #[serde(skip)]
    pub set_known: bool,
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// [`CommandError`], whose exit code tells the kind.
    pub fn run(&self) -> Result<(), CommandError> {
        let source = self.source.load()?;
        let contacts = self.contacts(&source)?;
        source.warn_at((self.from, self.to))?;
        self.answer.write(&contacts, || contact_table(&contacts))
    }

    /// The contacts, ascending by rise, then in the order of satellites and stations.
    ///
    /// # Errors
    /// [`CommandError`] for names that the source does not have, a span without length and a mask that is none.
    pub fn contacts(&self, source: &Source) -> Result<Vec<Contact>, CommandError> {
        let satellites = motion::satellites(source, &self.sat)?;
        let stations = motion::stations(source, &self.station)?;
        let elements = motion::chosen(&source.elements, &satellites);
        let model = self.motion.propagator(&elements, self.from);
        let stations: Vec<_> = stations.iter().map(|k| &source.stations[*k as usize]).collect();
        let mut sites = Vec::with_capacity(stations.len());
        for station in &stations {
            sites.push(Site::of(station, self.mask(station.min_elevation_deg)?));
        }
        let search = Search { propagator: &*model, from: self.from, to: self.to };
        let all: Vec<u32> = (0_u32..).zip(elements.iter()).map(|(index, _)| index).collect();
        let contact = |pass: Pass| Contact {
            satellite: elements[pass.satellite as usize].name.clone(),
            station: stations[pass.site as usize].name.clone(),
            rise: pass.rise,
            set: pass.set,
            max_elevation_deg: pass.max_elevation_deg,
            max_at: pass.max_at,
            rise_known: pass.rise_known,
            set_known: pass.set_known,
        };
        Ok(search.passes(&all, &sites)?.into_iter().map(contact).collect())
    }

    fn mask(&self, own: Option<f64>) -> Result<f64, CommandError> {
        match self.min_elevation {
            None => Ok(own.unwrap_or(MIN_ELEVATION_DEG)),
            Some(degrees) if (0.0..90.0).contains(&degrees) => Ok(degrees),
            Some(degrees) => {
                let rule = format!("--min-elevation {degrees} must be 0 to below 90 degrees");
                Err(CommandError::Input(rule))
            }
        }
    }
}

fn contact_table(contacts: &[Contact]) -> String {
    let row = |contact: &Contact| {
        let note = match (contact.rise_known, contact.set_known) {
            (true, true) => "",
            (false, true) => "up at the begin",
            (true, false) => "up at the end",
            (false, false) => "up all the time",
        };
        vec![
            contact.satellite.clone(),
            contact.station.clone(),
            contact.rise.to_string(),
            contact.set.to_string(),
            format!("{:7.2}", contact.max_elevation_deg),
            contact.max_at.to_string(),
            note.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = contacts.iter().map(row).collect();
    table(&["SATELLITE", "STATION", "RISE", "SET", "MAX DEG", "MAX AT", "NOTE"], &rows)
}
