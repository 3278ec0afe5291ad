//! What the commands about motion share: which satellites, which stations, which model, since when.

use std::sync::Arc;

use orbit::elements::Elements;
use orbit::pass::SearchError;
use orbit::propagate::{ModelKind, Propagator};
use types::Epoch;

use super::CommandError;
use super::source::Source;
use crate::near_names::near_names;

/// How satellites move, and since when the ground turns.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct MotionArgs {
    /// How satellites move: sgp4, kepler-j2 or stardust-compat
    #[arg(long, value_name = "MODEL", default_value = "sgp4", value_parser = model)]
    pub model: ModelKind,
    /// When the simulation began, at which stardust-compat has the ground along the axes; without it the instant that is asked
    /// about, or the first one
    #[arg(long, value_name = "TIME", value_parser = Epoch::parse)]
    pub start: Option<Epoch>,
}

impl MotionArgs {
    /// When the simulation began whose first instant of interest is `first`.
    pub fn start(&self, first: Epoch) -> Epoch {
        self.start.unwrap_or(first)
    }

    /// The model for these satellites, by index.
    pub fn propagator(&self, elements: &Arc<[Elements]>, first: Epoch) -> Box<dyn Propagator> {
        self.model.propagator(Arc::clone(elements), self.start(first))
    }
}

/// A model by its name, for the command line.
///
/// # Errors
/// The names that there are.
pub fn model(name: &str) -> Result<ModelKind, String> {
    let names = || ModelKind::ALL.map(ModelKind::name).join(", ");
    ModelKind::of_name(name).ok_or_else(|| format!("must be one of {}", names()))
}

impl From<SearchError> for CommandError {
    fn from(error: SearchError) -> Self {
        Self::Input(error.to_string())
    }
}

/// The satellites of these names, all when there are none, in the order of the source.
///
/// # Errors
/// [`CommandError`] for a source without satellites and for a name that none has.
pub fn satellites(source: &Source, names: &[String]) -> Result<Vec<u32>, CommandError> {
    if source.elements.is_empty() {
        let rule = "there are no satellites: name at least one by --tle, --omm or --walker";
        return Err(CommandError::Input(rule.to_owned()));
    }
    let known: Vec<&str> = source.elements.iter().map(|e| e.name.as_str()).collect();
    indices("satellite", &known, names)
}

/// The stations of these names, all when there are none, in the order of the source.
///
/// # Errors
/// [`CommandError`] for a source without stations and for a name that none has.
pub fn stations(source: &Source, names: &[String]) -> Result<Vec<u32>, CommandError> {
    if source.stations.is_empty() {
        let rule = "there are no stations: name a file with at least one by --ground";
        return Err(CommandError::Input(rule.to_owned()));
    }
    let known: Vec<&str> = source.stations.iter().map(|s| s.name.as_str()).collect();
    indices("station", &known, names)
}

fn indices(kind: &str, known: &[&str], names: &[String]) -> Result<Vec<u32>, CommandError> {
    let of_all = (0_u32..).zip(known);
    if names.is_empty() {
        return Ok(of_all.map(|(index, _)| index).collect());
    }
    for name in names {
        if !known.contains(&name.as_str()) {
            let near = near_names(known.iter().copied(), name).join(", ");
            let hint = format!("there is no {kind} {name:?}; near to it: {near}");
            return Err(CommandError::NotFound(hint));
        }
    }
    let wanted = |known: &str| names.iter().any(|name| name == known);
    Ok(of_all.filter(|(_, name)| wanted(name)).map(|(index, _)| index).collect())
}

/// The elements of these satellites alone, so that nothing is computed for the others.
pub fn chosen(elements: &Arc<[Elements]>, satellites: &[u32]) -> Arc<[Elements]> {
    if satellites.len() == elements.len() {
        return Arc::clone(elements);
    }
    satellites.iter().map(|satellite| elements[*satellite as usize].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_answered_with_the_nearest() {
        let known = ["STARLINK-1008", "STARLINK-2008", "ISS (ZARYA)", "STARLINK-1009"];
        let asked = ["starlink-1008".to_owned()];
        let error = indices("satellite", &known, &asked).unwrap_err().to_string();
        let wanted = "there is no satellite \"starlink-1008\"; near to it: STARLINK-1008, STARLINK-1009, STARLINK-2008";
        assert_eq!(error, wanted);
        let order = ["ISS (ZARYA)".to_owned(), "STARLINK-1008".to_owned()];
        assert_eq!(indices("satellite", &known, &order).unwrap(), [0, 2]);
        assert_eq!(indices("satellite", &known, &[]).unwrap().len(), 4);
    }
}
