//! Plugins: code that looks at every step, and may change what comes next.

mod coverage;
mod energy;

use std::fmt::Debug;

pub use coverage::Coverage;
pub use energy::Energy;

use super::scenario::PluginEntry;
use super::simulation::SimulationView;

/// Why a plugin cannot go on; ends the run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PluginError(pub String);

/// A figure of a plugin, for the end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is, with its unit: `charge_min`, `sunlit_share`.
    pub name: &'static str,
    /// Its value; `None` where there is none.
    pub value: Option<f64>,
}

/// Looks at every step.
pub trait Plugin: Debug + Send {
    /// Its name in reports.
    fn name(&self) -> &str;

    /// Called before a step is computed.
    ///
    /// # Errors
    /// [`PluginError`] ends the run.
    fn before_step(&mut self, _view: &mut SimulationView<'_>) -> Result<(), PluginError> {
        Ok(())
    }

    /// Called when a step is done.
    ///
    /// # Errors
    /// [`PluginError`] ends the run.
    fn after_step(&mut self, _view: &mut SimulationView<'_>) -> Result<(), PluginError> {
        Ok(())
    }

    /// What it found over all steps so far.
    fn figures(&self) -> Vec<Figure> {
        Vec::new()
    }
}

/// The plugins that a scenario asks for.
pub(super) fn of_scenario(entry: &PluginEntry) -> Vec<Box<dyn Plugin>> {
    let mut plugins: Vec<Box<dyn Plugin>> = Vec::new();
    if let Some(energy) = entry.energy {
        plugins.push(Box::new(Energy::new(energy)));
    }
    if entry.coverage.is_some() {
        plugins.push(Box::new(Coverage::default()));
    }
    plugins
}
