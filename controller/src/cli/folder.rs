//! The folder of a function on this machine: made, built and run here. Asks no controller.

pub(super) mod build;
pub(super) mod new;
mod program;
pub(super) mod run;
mod template;

use std::fs;
use std::path::{Path, PathBuf};

use super::CliError;
use crate::exit_code;
use crate::function_file::{FunctionFile, Kind};

/// What the author says about a function, in its folder.
pub(super) const MANIFEST: &str = "function.toml";

/// A folder with a function.
#[derive(Debug)]
pub(super) struct Folder {
    /// Absolute.
    dir: PathBuf,
    pub(super) manifest: FunctionFile,
}

impl Folder {
    pub(super) fn open(dir: &Path) -> Result<Self, CliError> {
        let manifest = dir.join(MANIFEST);
        if !manifest.is_file() {
            let next = "`starbelt fn new NAME` makes a folder that has one";
            let message = format!("{} has no {MANIFEST}: {next}", dir.display());
            return Err(CliError::new(exit_code::NOT_FOUND, message));
        }
        Self::read(&manifest)
    }

    /// The folder of a manifest.
    fn read(manifest: &Path) -> Result<Self, CliError> {
        let read = FunctionFile::load(manifest)
            .map_err(|error| CliError::new(exit_code::BAD_CONFIG, error.to_string()))?;
        let file = manifest.canonicalize().map_err(|error| {
            let message = format!("{} cannot be used: {error}", manifest.display());
            CliError::new(exit_code::FAILURE, message)
        })?;
        let dir = file.parent().unwrap_or_else(|| Path::new("/")).to_owned();
        Ok(Self { dir, manifest: read })
    }

    /// Where its bytes are, or would be: a component, or a model. `None`: nodes have its code.
    fn module(&self) -> Option<PathBuf> {
        self.manifest.function.module().map(|module| self.dir.join(module))
    }

    /// Its component or model, which must be there; says so if a source is newer. `dir` is what the user calls the folder.
    pub(super) fn built(&self, dir: &Path) -> Result<Option<PathBuf>, CliError> {
        let Some(module) = self.module() else { return Ok(None) };
        if self.manifest.function.kind == Kind::Component {
            return built_component(&self.dir, module, dir).map(Some);
        }
        if !module.is_file() {
            return Err(no_model(&module));
        }
        Ok(Some(module))
    }
}

fn no_model(file: &Path) -> CliError {
    let next = "put the model there, or name it: `module` in function.toml";
    CliError::new(exit_code::NOT_FOUND, format!("{} is not there: {next}", file.display()))
}

fn built_component(folder: &Path, component: PathBuf, dir: &Path) -> Result<PathBuf, CliError> {
    let next = format!("starbelt fn build {}", dir.display());
    if !component.is_file() {
        let message = format!("{} is not built yet: {next}", component.display());
        return Err(CliError::new(exit_code::NOT_FOUND, message));
    }
    if let Some(source) = newer_source(folder, &component) {
        let (source, component) = (source.display(), component.display());
        super::warn(&format!("{source} is newer than {component}, which is used as it is: {next}"));
    }
    Ok(component)
}

/// A file of `src/` or beside it that was changed after the component was made. Times that cannot be read say nothing.
fn newer_source(dir: &Path, component: &Path) -> Option<PathBuf> {
    let changed = |file: &Path| fs::metadata(file).and_then(|data| data.modified()).ok();
    let made = changed(component)?;
    let beside = ["Cargo.toml", "Cargo.lock"].map(|name| dir.join(name));
    let sources = fs::read_dir(dir.join("src")).ok()?.filter_map(Result::ok).map(|e| e.path());
    let mut files: Vec<PathBuf> = sources.chain(beside).filter(|file| file.is_file()).collect();
    files.sort();
    files.into_iter().find(|file| changed(file).is_some_and(|at| made < at))
}
