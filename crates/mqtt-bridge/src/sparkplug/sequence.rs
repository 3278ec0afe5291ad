//! The two counters of an edge node, both from 0 to 255 and then from 0.

/// Numbers births and deaths: a death with another number than the birth is of an earlier connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BirthDeath {
    next: u8,
    current: u8,
}

impl BirthDeath {
    /// Another connection is tried: its will and its birth carry this.
    pub(crate) fn connecting(&mut self) -> u8 {
        self.current = self.next;
        self.next = self.next.wrapping_add(1);
        self.current
    }

    /// The number of the present connection.
    pub(crate) const fn current(&self) -> u8 {
        self.current
    }
}

/// Numbers the messages of an edge node; a gap makes a host ask for a birth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sequence {
    next: u8,
}

impl Sequence {
    /// The number of a birth of the edge node.
    pub(crate) const fn birth(&mut self) -> u64 {
        self.next = 1;
        0
    }

    /// The number of any other message.
    pub(crate) fn message(&mut self) -> u64 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        u64::from(number)
    }
}
