//! Empty. Cargo chooses the features of outside crates by what it builds; examples and tests count
//! dev-dependencies in. `cargo xtask` builds this with the programs, so that they and the tests get
//! the same features, and zenoh and wasmtime are compiled once and not twice.

fn main() {}
