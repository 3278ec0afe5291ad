//! Contact plans on disk: written whole or not at all, read where they lie.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use topology::{LinkPlan, LinkPlanView, PlanFileError};

use super::mapped;

/// A contact plan's file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanDiskError {
    /// What the system said.
    #[error("{}: cannot be {}: {source}", file.display(), if *.writing { "written" } else { "read" })]
    Disk {
        /// The file.
        file: PathBuf,
        /// Whether it was to be written; read otherwise.
        writing: bool,
        /// What the system said.
        source: io::Error,
    },
    /// What is in it.
    #[error("{}: {source}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: PlanFileError,
    },
}

fn unread(file: &Path) -> impl Fn(io::Error) -> PlanDiskError {
    move |source| PlanDiskError::Disk { file: file.to_owned(), writing: false, source }
}

/// Writes a plan.
///
/// # Errors
/// [`PlanDiskError`] when it is not durable; the file is then as it was.
pub fn write(file: &Path, plan: &LinkPlan) -> Result<(), PlanDiskError> {
    replace(file, &topology::contact::encode(plan))
}

/// Puts a file in the place of another, so that readers see either the old or the new content, whole, also after a crash.
///
/// # Errors
/// [`PlanDiskError`] when it is not durable.
pub fn replace(file: &Path, bytes: &[u8]) -> Result<(), PlanDiskError> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // Two writers at once must not write into one another's file.
    let beside = folder.join(format!(".{name}.{}.new", std::process::id()));
    let written = File::create(&beside)
        .and_then(|mut out| out.write_all(bytes).and_then(|()| out.sync_all()))
        .and_then(|()| fs::rename(&beside, file))
        .and_then(|()| File::open(folder)?.sync_all());
    written.map_err(|source| {
        // What was begun is of no use; that it cannot be removed either adds nothing.
        drop(fs::remove_file(&beside));
        PlanDiskError::Disk { file: file.to_owned(), writing: true, source }
    })
}

/// A plan in a memory map.
#[derive(Debug)]
pub struct MappedPlan {
    file: PathBuf,
    map: Mmap,
}

impl MappedPlan {
    /// Maps a file.
    ///
    /// # Errors
    /// [`PlanDiskError`] when it cannot be read or does not begin as a plan does.
    pub fn open(file: &Path) -> Result<Self, PlanDiskError> {
        let map = mapped::map(file).map_err(unread(file))?;
        let plan = Self { file: file.to_owned(), map };
        plan.view()?;
        Ok(plan)
    }

    /// The plan where it lies.
    ///
    /// # Errors
    /// [`PlanDiskError`] when it does not begin as a plan does.
    pub fn view(&self) -> Result<LinkPlanView<'_>, PlanDiskError> {
        LinkPlanView::new(&self.map).map_err(|source| self.content(source))
    }

    /// The whole plan in memory, checked.
    ///
    /// # Errors
    /// [`PlanDiskError`] when any part of it is damaged.
    pub fn plan(&self) -> Result<LinkPlan, PlanDiskError> {
        self.view()?.to_plan().map_err(|source| self.content(source))
    }

    fn content(&self, source: PlanFileError) -> PlanDiskError {
        PlanDiskError::Content { file: self.file.clone(), source }
    }
}
