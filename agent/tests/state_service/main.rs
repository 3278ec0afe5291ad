//! The state service over real stores, several nodes in one process: commits, transfers, hand-overs, crashes, quotas.

mod bed;
mod commit;
mod crash;
mod disk;
mod failover;
mod handover;
mod kill;
mod quota;
mod transfer;
