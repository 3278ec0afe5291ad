//! The rows, one file for a group: a new group is a file with a function `rows` and a line in [`measure`].

mod cold;
mod core_modules;
mod floors;
mod fresh;
mod hand_over;
mod isolation;
mod load;
mod memory;
mod model;
mod neighbours;
mod suite_rows;

use anyhow::Result;

use crate::guests::Contract;
use crate::row::Row;
use crate::{machine, say};

pub(crate) use memory::{Compiling, compile_rise};
pub(crate) use model::{FEATURES, Model};
pub(crate) use suite_rows::Measured;

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Report {
    /// Of which machine.
    pub(crate) machine: String,
    /// Groups of rows, each with its title.
    pub(crate) groups: Vec<(&'static str, Vec<Row>)>,
    /// The suite, a function and input each.
    pub(crate) suite: Vec<Measured>,
    /// How well the performance model fits.
    pub(crate) models: Vec<Model>,
}

impl Report {
    /// All rows, for a file.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let groups = self.groups.iter().flat_map(|(_, rows)| rows.iter().cloned());
        let suite = self.suite.iter().flat_map(Measured::rows);
        groups.chain(suite).chain(self.models.iter().flat_map(Model::rows)).collect()
    }
}

/// Measures all groups, in the order of the table. Memory comes first: it must find a process that has not used much yet.
///
/// # Errors
/// When a guest does not do what the bench is about; a missing `runc` is no error but a reason in the rows.
pub(crate) fn measure(quick: bool, only: Option<&str>) -> Result<Report> {
    let contract = Contract::open()?;
    let is_wanted = |title: &str| only.is_none_or(|part| title.contains(part));
    let mut groups = Vec::new();
    let mut group = |title, rows: &dyn Fn() -> Result<Vec<Row>>| -> Result<()> {
        if is_wanted(title) {
            say(&format!("measuring: {title}"));
            groups.push((title, rows()?));
        }
        Ok(())
    };
    group("memory", &|| memory::rows(&contract))?;
    group("floors of the machine", &floors::rows)?;
    group("start from compiled code", &|| cold::rows(&contract))?;
    group("fresh calls", &|| fresh::rows(&contract))?;
    group("hand-over", &|| hand_over::rows(&contract))?;
    group("isolation", &|| isolation::rows(&contract))?;
    group("loading", &|| load::rows(&contract))?;
    group("engine: core modules", &core_modules::rows)?;
    group("stopping, and neighbours", &|| neighbours::rows(&contract))?;
    let suite = if is_wanted("suite") { suite_rows::measure(quick)? } else { Vec::new() };
    let models = if suite.is_empty() { Vec::new() } else { model::fit_all(&suite) };
    Ok(Report { machine: machine::name(), groups, suite, models })
}
