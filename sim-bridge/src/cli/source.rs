//! Where satellites and stations come from: the flags that all sub-commands share.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use orbit::WalkerShell;
use orbit::catalog::{
    Catalog, EpochAges, Faults, OLD_DAYS, ReadPolicy, ReadReport, SameNames, duplicated, epoch_ages,
};
use orbit::elements::{ELEMENTS_BYTES_MAX, Elements};
use orbit::format::{self, Format};
use orbit::link::ShellAt;
use orbit::station::Station;
use serde::Deserialize;
use types::Epoch;

use super::CommandError;
use super::answer::warn;
use crate::offline::scenario::Sources;
use crate::offline::station_file;
use crate::toml_file::{Document, FileError, Step, read_text};

/// Most satellites in all: twice what the simulator promises to keep up with.
pub const SATELLITES_MAX: u32 = 200_000;

/// Where satellites and stations come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SourceArgs {
    /// Two-line element sets; may be repeated
    #[arg(long, value_name = "FILE")]
    pub tle: Vec<PathBuf>,
    /// Element sets as OMM: JSON, CSV, KVN or XML; may be repeated
    #[arg(long, value_name = "FILE")]
    pub omm: Vec<PathBuf>,
    /// Walker shells: a TOML file, or PLANESxSLOTS:ALTITUDE_KM:INCLINATION_DEG and, if wanted, :PHASING, :star, @TIME, such
    /// as 72x22:550:53:17; may be repeated
    #[arg(long, value_name = "FILE|SPEC")]
    pub walker: Vec<String>,
    /// Stations: Stardust's YAML, TOML, or CSV with name,lat_deg,lon_deg,kind and, if wanted, alt_m; may be repeated
    #[arg(long, value_name = "FILE")]
    pub ground: Vec<PathBuf>,
    /// Only this many satellites: the first ones, and beyond those their duplicates, whose epochs are 300 s, 600 s, ... later
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(SATELLITES_MAX)))]
    pub satellites: Option<u32>,
    /// Takes wrong checksums and repeated catalogue numbers, counts them, and skips records that cannot be read
    #[arg(long)]
    pub lenient: bool,
    /// Renames a second satellite of one name to NAME#2, the next one to NAME#3
    #[arg(long)]
    pub rename: bool,
}

/// Satellites and stations, names unique, and what is to be said of how they were read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The satellites: of TLE files, of OMM files, of Walker shells, each in the order of the flags.
    pub elements: Arc<[Elements]>,
    /// Which of them are Walker shells.
    pub shells: Vec<ShellAt>,
    /// The stations, in the order of the files.
    pub stations: Vec<Station>,
    /// How the reading of element sets went.
    pub report: ReadReport,
    /// What people should know, a line each.
    pub warnings: Vec<String>,
}

impl Source {
    /// Tells people what they should know of how the source was read.
    ///
    /// # Errors
    /// When standard error is closed.
    pub fn warn(&self) -> Result<(), CommandError> {
        warn(&self.warnings)
    }

    /// The same, and of elements that were not made for the time that is asked about, from its begin to its end.
    ///
    /// # Errors
    /// When standard error is closed.
    pub fn warn_at(&self, (from, to): (Epoch, Epoch)) -> Result<(), CommandError> {
        self.warn()?;
        let far = epoch_ages(&self.elements, (from, to)).filter(|ages| 0 < ages.far);
        far.map_or(Ok(()), |ages| warn(&[self.age_warning(ages, (from, to))]))
    }

    fn age_warning(&self, ages: EpochAges, (from, to): (Epoch, Epoch)) -> String {
        let EpochAges { far, median_days, most_days, .. } = ages;
        let count = self.elements.len();
        let time = if from == to { from.to_string() } else { format!("{from} to {to}") };
        format!(
            "{far} of {count} element sets are more than {OLD_DAYS} days away from {time} (median {median_days:.1}, \
             most {most_days:.1} days): positions are less sure the farther they are"
        )
    }
}

impl SourceArgs {
    /// What a scenario names.
    pub fn of(sources: &Sources) -> Self {
        let Sources { tle, omm, walker, ground, satellites, lenient, rename } = sources.clone();
        Self { tle, omm, walker, ground, satellites, lenient, rename }
    }

    /// Reads everything.
    ///
    /// # Errors
    /// [`CommandError`] with file, line, field, value and rule.
    pub fn load(&self) -> Result<Source, CommandError> {
        self.load_with(SameNames::Refuse)
    }

    /// The same for users that need not tell satellites apart by name.
    ///
    /// # Errors
    /// [`CommandError`] with file, line, field, value and rule.
    pub fn load_with(&self, same_names: SameNames) -> Result<Source, CommandError> {
        let (catalog, shells) = self.catalog(same_names)?;
        if catalog.is_empty() {
            let rule = "no satellites: name some with --tle, --omm or --walker";
            return Err(CommandError::Input(rule.to_owned()));
        }
        let (elements, report) =
            catalog.finish().map_err(|e| CommandError::Input(e.to_string()))?;
        let stations = station_file::load(&self.ground)?;
        let warnings = report.warnings();
        let (elements, shells) = match self.satellites {
            None => (elements, shells),
            // Cut shells and duplicates are no shells any more: their grid is found by geometry.
            Some(count) => (
                duplicated(&elements, count as usize).map_err(|error| {
                    CommandError::Input(format!("--satellites {count}: {error}"))
                })?,
                Vec::new(),
            ),
        };
        // Duplicates have names of their own, which stations may have, too.
        refuse_shared_names(&elements, &stations)?;
        Ok(Source { elements: elements.into(), shells, stations, report, warnings })
    }

    /// All satellites, and which of them are Walker shells.
    fn catalog(&self, same_names: SameNames) -> Result<(Catalog, Vec<ShellAt>), CommandError> {
        let mut catalog = Catalog::new(self.policy(same_names));
        let omm = self.omm.iter().map(|file| (file, None));
        for (file, format) in self.tle.iter().map(|file| (file, Some(Format::Tle))).chain(omm) {
            read(&mut catalog, file, format)?;
            refuse_more(&catalog, 0)?;
        }
        let mut walkers = Vec::new();
        for (number, walker) in (1..).zip(&self.walker) {
            walkers.extend(shells_of(walker, number)?.into_iter().map(|shell| (walker, shell)));
        }
        // Before any of them is made, since they are said in a few words and may be millions.
        refuse_more(&catalog, walkers.iter().map(|(_, shell)| shell.satellites()).sum())?;
        let mut shells = Vec::with_capacity(walkers.len());
        for (walker, shell) in walkers {
            catalog.begin_source(walker);
            let first = u32::try_from(catalog.len()).unwrap_or(u32::MAX);
            catalog.extend(shell.elements().map_err(CommandError::Input)?);
            shells.push(ShellAt { first, shell });
        }
        Ok((catalog, shells))
    }

    fn policy(&self, same_names: SameNames) -> ReadPolicy {
        let faults = if self.lenient { Faults::TakeOrSkip } else { Faults::Refuse };
        let same_names = if self.rename { SameNames::Rename } else { same_names };
        ReadPolicy { faults, same_names }
    }
}

/// Refuses what would be too many satellites: those in `catalog` and `more`.
fn refuse_more(catalog: &Catalog, more: u64) -> Result<(), CommandError> {
    let count = (catalog.len() as u64).saturating_add(more);
    if count <= u64::from(SATELLITES_MAX) {
        return Ok(());
    }
    let text = format!("{count} satellites in all must be at most {SATELLITES_MAX}");
    Err(CommandError::Input(text))
}

/// Reads a file of element sets; `None` stands for whichever notation of OMM it begins like.
fn read(catalog: &mut Catalog, file: &Path, format: Option<Format>) -> Result<(), CommandError> {
    let text = read_text(file, ELEMENTS_BYTES_MAX)?;
    let said = |what: String| CommandError::Input(format!("{}: {what}", file.display()));
    let (before, skipped) = (catalog.len(), catalog.report().skipped);
    catalog.begin_source(&file.display().to_string());
    let is_omm = format.is_none() && !text.trim().is_empty() && !format::says_no_data(&text);
    if is_omm && format::detect(&text).map_err(|e| said(e.to_string()))? == Format::Tle {
        return Err(said("must be OMM as JSON, CSV, KVN or XML; for TLE use --tle".to_owned()));
    }
    catalog.read(&text, format).map_err(|e| said(e.to_string()))?;
    if before < catalog.len() {
        return Ok(());
    }
    let skipped = catalog.report().skipped - skipped;
    let first = catalog.report().skipped_told.last().filter(|_| 0 < skipped);
    let why = first.map_or_else(String::new, |skipped| format!("; {}", skipped.error));
    Err(said(format!("must hold at least one element set that can be read{why}")))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShellFile {
    shell: Vec<WalkerShell>,
}

/// The shells of a file, or the one that a line describes; `number` is its place among the flags.
fn shells_of(walker: &str, number: usize) -> Result<Vec<WalkerShell>, CommandError> {
    let file = Path::new(walker);
    let is_toml = file.extension().is_some_and(|extension| extension == "toml");
    if is_toml || file.is_file() {
        return Ok(shells_in(file)?);
    }
    let shell = WalkerShell::from_line(walker, &format!("walker-{number}"));
    let shell = shell.map_err(|e| CommandError::Input(format!("--walker {walker}: {e}")))?;
    Ok(vec![shell])
}

/// One shell with its keys at the top, or several as `[[shell]]`.
fn shells_in(file: &Path) -> Result<Vec<WalkerShell>, FileError> {
    let document = Document::read(file)?;
    let table: toml::Table = document.parse()?;
    let several = table.contains_key("shell");
    let shells =
        if several { document.parse::<ShellFile>()?.shell } else { vec![document.parse()?] };
    if shells.is_empty() {
        return Err(document.problem(&[], "must hold at least one shell".to_owned()).into());
    }
    let mut problems = Vec::new();
    for (index, shell) in shells.iter().enumerate() {
        for (key, value, rule) in shell.problems() {
            let path = [Step::Key("shell"), Step::Index(index), Step::Key(key)];
            let path = if several { &path[..] } else { &path[2..] };
            problems.push(document.problem(path, format!("{value} {rule}")));
        }
    }
    if problems.is_empty() { Ok(shells) } else { Err(FileError::Invalid(problems)) }
}

/// Routes and plans name satellites and stations alike.
fn refuse_shared_names(elements: &[Elements], stations: &[Station]) -> Result<(), CommandError> {
    if stations.is_empty() {
        return Ok(());
    }
    let satellites: BTreeSet<&str> = elements.iter().map(|e| e.name.as_str()).collect();
    match stations.iter().find(|station| satellites.contains(station.name.as_str())) {
        None => Ok(()),
        Some(station) => {
            let name = &station.name;
            let text = format!("station {name:?} must not have the name of a satellite");
            Err(CommandError::Input(text))
        }
    }
}
