//! Contact plans on disk: written whole or not at all, read where they lie.

use std::io;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use topology::{LinkPlan, LinkPlanView, PlanFileError};

use super::mapped;
use crate::out_file::{self, WriteError};

/// A contact plan's file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanDiskError {
    /// It cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
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
    move |source| PlanDiskError::Read { file: file.to_owned(), source }
}

/// Writes a plan.
///
/// # Errors
/// [`WriteError`] when it is not durable; the file is then as it was.
pub fn write(file: &Path, plan: &LinkPlan) -> Result<(), WriteError> {
    out_file::write(file, &topology::contact::encode(plan))
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
