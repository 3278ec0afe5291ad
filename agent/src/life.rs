//! The life of the agent's process: whether it starts with functions, which program it is, and how another one takes its place.
//!
//! ```text
//! packaged program ── starts counted, slot chosen ──▶ exec of the program in a slot, or itself goes on
//!                                                        │ well, and heard where a contact is foreseen: commit
//!                                                        └ not well, or not even started: the one before
//! ```
//!
//! [`starts`], [`slots`] and [`trial`] decide, without disk and clock; [`release`] judges what is signed; [`mod@file`] keeps both durable;
//! [`begin`] is what a start does before anything else; [`book`] is what the running agent does. Why so: decision 0027.

pub mod begin;
pub mod book;
mod exec;
pub mod file;
mod program;
pub mod release;
pub mod slots;
pub mod starts;
pub mod trial;

pub use self::begin::{Begun, Life};
pub use self::book::LifeBook;

/// What this program says of itself; see [`protocol::release::STAMP`].
static STAMP: &str = concat!(
    "@starbelt-agent-program ",
    env!("CARGO_PKG_VERSION"),
    " ",
    env!("STARBELT_BUILT_AT_S"),
    ";"
);

/// Version and number of this program, as its file says them.
pub fn own() -> (&'static str, u64) {
    // Read from the program, as everybody else reads it: the compiler must not know it better.
    let stamp = std::hint::black_box(STAMP);
    protocol::release::stamp(stamp.as_bytes()).unwrap_or(("unknown", 0))
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_program_knows_its_number() {
        let (version, number) = super::own();
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
        assert!(1_767_225_600 <= number, "{number}");
    }
}
