//! The queue on a disk that tears, flips, fills up, refuses and forgets.

mod bounds;
mod life;
mod segments;
mod sim;
