//! Values that wait for a connection, bounded in bytes; the oldest make room.

use std::collections::VecDeque;

use types::{Epoch, NodeId};

use crate::value::Value;

/// Values of a node at a time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Past {
    pub(super) node: NodeId,
    pub(super) at: Epoch,
    /// By index of [`crate::METRICS`].
    pub(super) values: Vec<(usize, Value)>,
}

impl Past {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.node.as_str().len() + size_of_val(self.values.as_slice())
    }
}

/// What waits, oldest first.
#[derive(Clone, Debug)]
pub(super) struct History {
    bytes_max: usize,
    bytes: usize,
    waiting: VecDeque<Past>,
}

impl History {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, waiting: VecDeque::new() }
    }

    /// Keeps values; says how many entries were left out for it.
    pub(super) fn push(&mut self, past: Past) -> u64 {
        let bytes = past.bytes();
        if self.bytes_max < bytes {
            return 1;
        }
        let mut left_out = 0;
        while self.bytes_max < self.bytes + bytes
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.bytes -= oldest.bytes();
            left_out += 1;
        }
        self.bytes += bytes;
        self.waiting.push_back(past);
        left_out
    }

    /// Takes the oldest of a node that may speak.
    pub(super) fn take(&mut self, may_speak: impl Fn(&NodeId) -> bool) -> Option<Past> {
        let at = self.waiting.iter().position(|past| may_speak(&past.node))?;
        let past = self.waiting.remove(at)?;
        self.bytes -= past.bytes();
        Some(past)
    }

    /// Whether there is something of a node that may speak.
    pub(super) fn has(&self, may_speak: impl Fn(&NodeId) -> bool) -> bool {
        self.waiting.iter().any(|past| may_speak(&past.node))
    }
}
