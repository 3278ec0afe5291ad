//! Boards at real terminals of the kernel: a pair of which the agent opens one end by its path, as it opens a device, and a board speaks
//! at the other. Bytes get lost, turned and doubled, and the plug is pulled.

mod bench;
mod story;
