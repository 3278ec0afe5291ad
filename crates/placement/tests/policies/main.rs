//! Policies on small skies: what each is told to do, and that ours finds what is best.

mod against_all;
mod exact;
mod exhausted;
mod explained;
mod latencies;
mod rules;
mod sample;
