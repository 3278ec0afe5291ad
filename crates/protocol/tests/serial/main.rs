//! Serial lines: golden bytes of every kind, and what lost, turned and doubled bytes must not do.

mod golden;
mod noise;
mod sample;
mod sizes;
