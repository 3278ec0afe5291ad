//! Writes the model of the probe to the standard output: `cargo run -p infer --example probe_model > functions/infer/src/probe/model.onnx`.

#[path = "../tests/support/onnx.rs"]
#[expect(dead_code, reason = "tests use the rest")]
mod onnx;

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    io::stdout().write_all(&onnx::probe())
}
