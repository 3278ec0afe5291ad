//! One card from image to verified: what is known before it is touched, then writing, reading back, customising, and last the
//! partition tables.

use std::fs::File;
use std::path::Path;

use super::boot::{BootError, Contents, look, put};
use super::format::{InitFormat, Unknown, tell};
use super::seed::{Seed, SeedError, files};
use super::source;
use super::table::{self, HEAD_BYTES, NoTable, Partition};
use super::write::{Phase, WriteError, Written, finish, head, verify, write};
use crate::interrupt::Interrupt;

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The image.
    pub image: &'a Path,
    /// What its file's SHA-256 has to be.
    pub sha256: Option<&'a str>,
    /// The format of its customisation, where the operator says it.
    pub format: Option<InitFormat>,
    /// What the board shall find.
    pub seed: &'a Seed<'a>,
}

/// Why a card is not prepared.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The image cannot be opened.
    #[error("the image cannot be read: {0}")]
    Image(std::io::Error),
    /// It is another one.
    #[error(
        "the image has SHA-256 {is}, and {should} was asked for: it is another one, or did not arrive whole"
    )]
    Sum {
        /// What it has.
        is: String,
        /// What it should have.
        should: String,
    },
    /// It is no image.
    #[error(transparent)]
    Table(#[from] NoTable),
    /// Nobody can tell how it is customised.
    #[error(transparent)]
    Format(#[from] Unknown),
    /// It cannot be customised so.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// Its boot partition does not work.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The card does not.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Somebody wanted it to stop before anything was written.
    #[error("interrupted; nothing was written")]
    Interrupted,
}

/// What is known of an image before a card is touched.
#[derive(Clone, Debug)]
pub struct Examined {
    /// Its partition tables.
    head: Vec<u8>,
    /// From where it starts.
    boot: Partition,
    /// What it needs, bytes.
    pub bytes: u64,
    /// Which customisation it understands, where that can be told before it is unpacked.
    pub format: Option<InitFormat>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is going on.
    pub phase: Phase,
    /// Bytes of the card.
    pub bytes: u64,
    /// Thousandths of this phase.
    pub permille: u64,
}

/// Reads the image once, as far as needed.
///
/// # Errors
/// [`CardError`]
pub fn examine(order: &Order<'_>, interrupt: &Interrupt) -> Result<Examined, CardError> {
    if let Some(should) = order.sha256 {
        let is = source::sum(order.image, interrupt).map_err(CardError::Image)?;
        let is = is.ok_or(CardError::Interrupted)?;
        if !is.eq_ignore_ascii_case(should) {
            return Err(CardError::Sum { is, should: should.to_owned() });
        }
    }
    let mut image = source::open(order.image).map_err(CardError::Image)?;
    let head = head(&mut *image.bytes)?;
    let partitions = table::read(&head)?;
    let boot = table::boot(&partitions)?;
    if boot.start < HEAD_BYTES as u64 {
        return Err(NoTable("its boot partition starts within the partition tables").into());
    }
    let mut format = order.format;
    if !image.is_packed {
        // An image that lies there open shows before a card is erased whether all will go well.
        let file = File::open(order.image).map_err(CardError::Image)?;
        let contents = look(&file, boot)?;
        let told = customisation(order, &contents)?;
        files(order.seed, told, contents.cmdline.as_deref())?;
        format = Some(told);
    }
    Ok(Examined { head, boot, bytes: table::end(&partitions), format })
}

fn customisation(order: &Order<'_>, contents: &Contents) -> Result<InitFormat, Unknown> {
    match order.format {
        Some(format) => Ok(format),
        None => tell(&contents.files),
    }
}

/// Writes, reads back, customises, and makes it start. The card is blank until all went well.
///
/// # Errors
/// [`CardError`]
pub fn prepare(
    order: &Order<'_>,
    examined: &Examined,
    (card, size): (&mut File, Option<u64>),
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Written, InitFormat), CardError> {
    let mut image = source::open(order.image).map_err(CardError::Image)?;
    let again = head(&mut *image.bytes)?;
    if again != examined.head {
        return Err(NoTable("it has changed while it was read").into());
    }
    let position = image.position.clone();
    let thousandths = |part: u64, of: u64| part.saturating_mul(1000) / of.max(1);
    let mut step = |phase, bytes| {
        progress(Progress { phase, bytes, permille: thousandths(position.read(), position.of) });
    };
    let written = write((&again, &mut *image.bytes), card, size, interrupt, &mut step)?;
    let end = written.bytes;
    let mut step =
        |phase, bytes| progress(Progress { phase, bytes, permille: thousandths(bytes, end) });
    verify(&again, card, &written, interrupt, &mut step)?;
    let contents = look(card, examined.boot)?;
    let format = customisation(order, &contents)?;
    put(card, examined.boot, &files(order.seed, format, contents.cmdline.as_deref())?)?;
    finish(&again, card)?;
    Ok((written, format))
}
