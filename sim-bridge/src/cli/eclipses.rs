//! `starbelt-sim eclipses`: when satellites are in the shadow of the Earth.

use orbit::eclipse::{Eclipse, Shadow};
use orbit::pass::Search;
use serde::Serialize;
use types::Epoch;

use super::CommandError;
use super::answer::{AnswerArgs, table};
use super::motion::{self, MotionArgs};
use super::source::{Source, SourceArgs};

/// What is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The constellation and the stations.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Only this satellite; may be repeated
    #[arg(long, value_name = "NAME")]
    pub sat: Vec<String>,
    /// The begin, RFC 3339 in UTC; a satellite that is in shadow then enters then
    #[arg(long, value_name = "TIME", value_parser = Epoch::parse)]
    pub from: Epoch,
    /// The end; a satellite that is in shadow then leaves then
    #[arg(long, value_name = "TIME", value_parser = Epoch::parse)]
    pub to: Epoch,
    /// How they move.
    #[command(flatten)]
    pub motion: MotionArgs,
    /// Where the answer goes.
    #[command(flatten)]
    pub answer: AnswerArgs,
}

/// A time that a satellite spends in shadow.
#[derive(Clone, Debug, Serialize)]
pub struct EclipseRow {
    /// The satellite's name.
    pub satellite: String,
    /// `umbra`: the Sun is hidden; `penumbra`: a part of it at least.
    pub kind: &'static str,
    /// When it enters.
    pub enter: Epoch,
    /// When it leaves.
    pub exit: Epoch,
    /// False when it was inside at the begin.
    #[serde(skip)]
    pub enter_known: bool,
    /// False when it is inside at the end.
    #[serde(skip)]
    pub exit_known: bool,
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// [`CommandError`], whose exit code tells the kind.
    pub fn run(&self) -> Result<(), CommandError> {
        let source = self.source.load()?;
        let eclipses = self.eclipses(&source)?;
        source.warn_at((self.from, self.to))?;
        self.answer.write(&eclipses, || eclipse_table(&eclipses))
    }

    /// The eclipses, ascending by entry, then in the order of satellites.
    ///
    /// # Errors
    /// [`CommandError`] for names that the source does not have and for a span without length.
    pub fn eclipses(&self, source: &Source) -> Result<Vec<EclipseRow>, CommandError> {
        let satellites = motion::satellites(source, &self.sat)?;
        let elements = motion::chosen(&source.elements, &satellites);
        let model = self.motion.propagator(&elements, self.from);
        let search = Search { propagator: &*model, from: self.from, to: self.to };
        let all: Vec<u32> = (0_u32..).zip(elements.iter()).map(|(index, _)| index).collect();
        let row = |eclipse: Eclipse| EclipseRow {
            satellite: elements[eclipse.satellite as usize].name.clone(),
            kind: match eclipse.shadow {
                Shadow::Penumbra => "penumbra",
                Shadow::Umbra => "umbra",
            },
            enter: eclipse.enter,
            exit: eclipse.exit,
            enter_known: eclipse.enter_known,
            exit_known: eclipse.exit_known,
        };
        Ok(search.eclipses(&all)?.into_iter().map(row).collect())
    }
}

fn eclipse_table(eclipses: &[EclipseRow]) -> String {
    let row = |eclipse: &EclipseRow| {
        let minutes = eclipse.exit.seconds_since(eclipse.enter) / 60.0;
        let note = match (eclipse.enter_known, eclipse.exit_known) {
            (true, true) => "",
            (false, true) => "inside at the begin",
            (true, false) => "inside at the end",
            (false, false) => "inside all the time",
        };
        vec![
            eclipse.satellite.clone(),
            eclipse.kind.to_owned(),
            eclipse.enter.to_string(),
            eclipse.exit.to_string(),
            format!("{minutes:7.2}"),
            note.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = eclipses.iter().map(row).collect();
    table(&["SATELLITE", "KIND", "ENTER", "EXIT", "MINUTES", "NOTE"], &rows)
}
