//! A scenario on its way: read from a file, changed by flags, checked, and only then a [`Scenario`].

use std::path::{Path, PathBuf};

use super::Scenario;
use crate::offline::orchestrator::Registry;
use crate::toml_file::{Document, FileError, Problem, Step};

/// A scenario that nobody has checked yet.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    scenario: Scenario,
    document: Option<Document>,
    /// Fields that flags have set, and the flags.
    by_flag: Vec<(&'static str, &'static str)>,
}

impl Draft {
    /// Reads a file; the paths of its sources are relative to it.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be read or is no scenario.
    pub fn read(file: &Path) -> Result<Self, FileError> {
        let document = Document::read(file)?;
        let mut scenario: Scenario = document.parse()?;
        let sources = &mut scenario.sources;
        let paths = sources.tle.iter_mut().chain(&mut sources.omm).chain(&mut sources.ground);
        for path in paths {
            *path = file.with_file_name(&*path);
        }
        for walker in &mut sources.walker {
            let beside = file.with_file_name(&*walker);
            if beside.is_file() {
                *walker = beside.display().to_string();
            }
        }
        Ok(Self { scenario, document: Some(document), by_flag: Vec::new() })
    }

    /// Lets a flag decide a field; `None` leaves it.
    pub fn set<T>(
        &mut self,
        (field, flag): (&'static str, &'static str),
        value: Option<T>,
        put: impl FnOnce(&mut Scenario, T),
    ) {
        if let Some(value) = value {
            put(&mut self.scenario, value);
            self.by_flag.push((field, flag));
        }
    }

    /// Lets flags change more than single fields.
    pub fn scenario_mut(&mut self) -> &mut Scenario {
        &mut self.scenario
    }

    /// The scenario, if it breaks no rule and names none but the built-in orchestrators.
    ///
    /// # Errors
    /// [`FileError::Invalid`] with every broken rule.
    pub fn finish(self) -> Result<Scenario, FileError> {
        self.finish_with(&Registry::default())
    }

    /// The scenario, if it breaks no rule and names orchestrators of this registry, which its simulation is to
    /// [get](crate::offline::simulation::Simulation::orchestrators_mut).
    ///
    /// # Errors
    /// [`FileError::Invalid`] with every broken rule.
    pub fn finish_with(self, orchestrators: &Registry) -> Result<Scenario, FileError> {
        let problems: Vec<Problem> = self
            .scenario
            .problems(Some(orchestrators))
            .into_iter()
            .map(|(path, rule)| self.problem(&path, rule))
            .collect();
        if problems.is_empty() { Ok(self.scenario) } else { Err(FileError::Invalid(problems)) }
    }

    fn problem(&self, path: &[Step<'_>], rule: String) -> Problem {
        let spelled = crate::toml_file::spell(path);
        let flag = self.by_flag.iter().find(|(field, _)| *field == spelled);
        match (flag, &self.document) {
            (None, Some(document)) => document.problem(path, rule),
            (flag, _) => Problem {
                file: PathBuf::from("command line"),
                line: None,
                field: flag.map_or_else(|| spelled.clone(), |(_, flag)| (*flag).to_owned()),
                rule,
            },
        }
    }
}

impl Scenario {
    /// The same scenario, if it breaks no rule; for those that come from a recording. Whether its orchestrators exist is
    /// seen at the first step.
    ///
    /// # Errors
    /// The first broken rule: field, value and rule.
    pub fn checked(self) -> Result<Self, String> {
        let first = self.problems(None).into_iter().next();
        let first = first.map(|(path, rule)| format!("{}: {rule}", crate::toml_file::spell(&path)));
        match first {
            None => Ok(self),
            Some(problem) => Err(problem),
        }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`FileError`] with every broken rule.
    pub fn load(file: &Path) -> Result<Self, FileError> {
        Draft::read(file)?.finish()
    }

    /// Reads and checks a file that may name all orchestrators of this registry.
    ///
    /// # Errors
    /// [`FileError`] with every broken rule.
    pub fn load_with(file: &Path, orchestrators: &Registry) -> Result<Self, FileError> {
        Draft::read(file)?.finish_with(orchestrators)
    }
}
