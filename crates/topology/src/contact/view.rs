//! Reads the file of a contact plan in place, as from a memory map; `PLAN.md` describes it byte by byte.

use types::Epoch;

use super::file::{
    ALIGN, CLOSE_KNOWN, ENTRY_BYTES, FORMAT_VERSION, HEAD_BYTES, HEAD_CRC_AT, MAGIC, OPEN_KNOWN,
    SECTIONS, SEGMENT_BYTES, TABLE_AT, WINDOW_BYTES, head_crc,
};
use super::{LinkPlan, LinkPlanError, LinkWindow, RangeSegment};
use crate::graph::NodeIx;

const SECTION_NAMES: [&str; SECTIONS] = ["names", "windows", "segments"];

/// Bytes that are no contact plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanFileError {
    /// It does not begin as a plan does.
    #[error("this is no contact plan: it must begin with SBLTPLAN and have at least 128 bytes")]
    NoPlan,
    /// A version that this program does not read.
    #[error(
        "the contact plan has format version {found}; this program reads version {FORMAT_VERSION}: make the plan anew"
    )]
    Version {
        /// The version found.
        found: u32,
    },
    /// Bytes that were changed.
    #[error("the {part} of the contact plan is damaged: its checksum is wrong; make the plan anew")]
    Checksum {
        /// The part at fault.
        part: &'static str,
    },
    /// Numbers that do not fit each other.
    #[error("the {part} of the contact plan is damaged: {rule}; make the plan anew")]
    Layout {
        /// The part at fault.
        part: &'static str,
        /// The broken rule.
        rule: &'static str,
    },
    /// The content breaks a rule of plans.
    #[error(transparent)]
    Plan(#[from] LinkPlanError),
}

/// A contact plan in its file. Making one reads the head only; what is asked for is checked then, and [`Self::verify`] checks all.
#[derive(Clone, Copy, Debug)]
pub struct LinkPlanView<'a> {
    bytes: &'a [u8],
    names: &'a [u8],
    windows: &'a [u8],
    segments: &'a [u8],
}

/// A window in its file.
#[derive(Clone, Copy, Debug)]
pub struct WindowView<'a> {
    record: &'a [u8],
    segments: &'a [u8],
}

impl<'a> LinkPlanView<'a> {
    /// Reads the head of any bytes.
    ///
    /// # Errors
    /// [`PlanFileError`] when they do not begin as a plan of this version does, the head is damaged or the sections do not fit the length.
    pub fn new(bytes: &'a [u8]) -> Result<Self, PlanFileError> {
        if bytes.len() < HEAD_BYTES || bytes[..MAGIC.len()] != MAGIC {
            return Err(PlanFileError::NoPlan);
        }
        let found = u32_at(bytes, 8);
        if found != FORMAT_VERSION {
            return Err(PlanFileError::Version { found });
        }
        if head_crc(&bytes[..HEAD_BYTES]) != u32_at(bytes, HEAD_CRC_AT) {
            return Err(PlanFileError::Checksum { part: "head" });
        }
        let mut end = HEAD_BYTES;
        let mut sections: [&[u8]; SECTIONS] = [&[]; SECTIONS];
        for (section, slot) in sections.iter_mut().enumerate() {
            *slot = section_of(bytes, section, &mut end)?;
        }
        let [names, windows, segments] = sections;
        let view = Self { bytes, names, windows, segments };
        let table_bytes = (view.node_count() + 1).saturating_mul(4);
        let windows_fit = windows.len() == view.window_count().saturating_mul(WINDOW_BYTES);
        let segments_fit =
            segments.len() == (u32_at(bytes, 44) as usize).saturating_mul(SEGMENT_BYTES);
        if names.len() < table_bytes || !windows_fit || !segments_fit || end != bytes.len() {
            let rule = "the sections must hold what is counted, and nothing may follow them";
            return Err(PlanFileError::Layout { part: "head", rule });
        }
        Ok(view)
    }

    /// Counts plans.
    pub fn version(&self) -> u64 {
        u64::from_le_bytes(bytes_at(self.bytes, 16))
    }

    /// The beginning.
    pub fn start(&self) -> Epoch {
        epoch_at(self.bytes, 24)
    }

    /// The end.
    pub fn end(&self) -> Epoch {
        epoch_at(self.bytes, 32)
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        u32_at(self.bytes, 12) as usize
    }

    /// How many windows there are.
    pub fn window_count(&self) -> usize {
        u32_at(self.bytes, 40) as usize
    }

    /// The name of a node; `None` for one that does not exist, and where the file is damaged.
    pub fn name(&self, node: NodeIx) -> Option<&'a str> {
        let at = node.index();
        if self.node_count() <= at {
            return None;
        }
        let text = &self.names[(self.node_count() + 1) * 4..];
        let (from, to) = (u32_at(self.names, at * 4), u32_at(self.names, at * 4 + 4));
        std::str::from_utf8(text.get(from as usize..to as usize)?).ok()
    }

    /// A window; `None` for one that does not exist, and where the file is damaged.
    pub fn window(&self, at: usize) -> Option<WindowView<'a>> {
        let from = at.checked_mul(WINDOW_BYTES)?;
        let record = self.windows.get(from..from.checked_add(WINDOW_BYTES)?)?;
        let first = (u32_at(record, 32) as usize).checked_mul(SEGMENT_BYTES)?;
        let bytes = (u32_at(record, 36) as usize).checked_mul(SEGMENT_BYTES)?;
        let segments = self.segments.get(first..first.checked_add(bytes)?)?;
        Some(WindowView { record, segments })
    }

    /// The windows in order; ends early where the file is damaged.
    pub fn windows(&self) -> impl Iterator<Item = WindowView<'a>> + use<'a> {
        let view = *self;
        (0..self.window_count()).map_while(move |at| view.window(at))
    }

    /// Checks every byte and every rule.
    ///
    /// # Errors
    /// [`PlanFileError`] for the first part that is damaged.
    pub fn verify(&self) -> Result<(), PlanFileError> {
        self.to_plan().map(drop)
    }

    /// The whole plan in memory, checked.
    ///
    /// # Errors
    /// [`PlanFileError`] for the first part that is damaged.
    pub fn to_plan(self) -> Result<LinkPlan, PlanFileError> {
        for (section, (part, bytes)) in
            SECTION_NAMES.into_iter().zip([self.names, self.windows, self.segments]).enumerate()
        {
            let entry = TABLE_AT + section * ENTRY_BYTES;
            if crc32fast::hash(bytes) != u32_at(self.bytes, entry + 16) {
                return Err(PlanFileError::Checksum { part });
            }
        }
        let damaged = |part, rule| PlanFileError::Layout { part, rule };
        let mut nodes = Vec::with_capacity(self.node_count());
        let count = u32::try_from(self.node_count()).unwrap_or(u32::MAX);
        for node in 0..count {
            let name = self.name(NodeIx(node));
            let name =
                name.ok_or_else(|| damaged("names", "a name must be text of the section"))?;
            nodes.push(name.to_owned());
        }
        let mut windows = Vec::with_capacity(self.window_count());
        // Each segment belongs to one window, so that no file takes more memory than its length suggests.
        let mut first = 0;
        for at in 0..self.window_count() {
            let window = self.window(at).filter(|view| u32_at(view.record, 32) as usize == first);
            let rule = "the segments of a window must follow those of the window before";
            let window = window.ok_or_else(|| damaged("windows", rule))?.to_window();
            first += window.range.len();
            windows.push(window);
        }
        Ok(LinkPlan::new(self.version(), (self.start(), self.end()), nodes, windows)?)
    }
}

/// Checks where a section lies: after the one before, at the next multiple of [`ALIGN`], with zeros between.
fn section_of<'a>(
    bytes: &'a [u8],
    section: usize,
    end: &mut usize,
) -> Result<&'a [u8], PlanFileError> {
    let entry = TABLE_AT + section * ENTRY_BYTES;
    let number = |at| usize::try_from(u64::from_le_bytes(bytes_at(bytes, at))).ok();
    let damaged = || PlanFileError::Layout {
        part: SECTION_NAMES[section],
        rule: "it must begin at the next multiple of 64 after the part before, padded by zeros, and end within the file",
    };
    let begin = number(entry).ok_or_else(damaged)?;
    let past = number(entry + 8).and_then(|length| begin.checked_add(length));
    let past = past.ok_or_else(damaged)?;
    let padding = bytes.get(*end..begin).ok_or_else(damaged)?;
    if begin != end.next_multiple_of(ALIGN) || padding.iter().any(|byte| *byte != 0) {
        return Err(damaged());
    }
    *end = past;
    bytes.get(begin..past).ok_or_else(damaged)
}

impl WindowView<'_> {
    /// The node with the lower number.
    pub fn a(&self) -> NodeIx {
        NodeIx(u32_at(self.record, 16))
    }

    /// The other one.
    pub fn b(&self) -> NodeIx {
        NodeIx(u32_at(self.record, 20))
    }

    /// The beginning.
    pub fn open(&self) -> Epoch {
        epoch_at(self.record, 0)
    }

    /// The end, not included.
    pub fn close(&self) -> Epoch {
        epoch_at(self.record, 8)
    }

    /// The whole window in memory.
    pub fn to_window(self) -> LinkWindow {
        let known = u32_at(self.record, 40);
        let number = |segment: &[u8], at: usize| f64::from_le_bytes(bytes_at(segment, at * 8));
        let segment = |s: &[u8]| RangeSegment {
            c: [0, 1, 2].map(|k| number(s, k)),
            error_km_max: number(s, 3),
        };
        LinkWindow {
            a: self.a(),
            b: self.b(),
            open: self.open(),
            close: self.close(),
            open_known: known & OPEN_KNOWN != 0,
            close_known: known & CLOSE_KNOWN != 0,
            rate_kbps: u32_at(self.record, 24),
            confidence_ppm: u32_at(self.record, 28),
            range: self.segments.chunks_exact(SEGMENT_BYTES).map(segment).collect(),
        }
    }
}

/// The bytes at a place that is known to exist.
fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("N bytes")
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

fn epoch_at(bytes: &[u8], at: usize) -> Epoch {
    Epoch::from_unix_ns(i64::from_le_bytes(bytes_at(bytes, at)))
}
