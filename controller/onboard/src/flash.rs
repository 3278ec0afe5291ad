//! Preparing cards: an image is written to one, the agent is put into its boot partition for the first start, and everything is
//! read back. For Jetsons, whose images only NVIDIA's tools write, the commands are checked and printed.

pub mod boot;
pub mod card;
pub mod device;
pub mod format;
pub mod guard;
pub mod jetson;
pub mod seed;
pub mod source;
pub mod table;
pub mod write;
