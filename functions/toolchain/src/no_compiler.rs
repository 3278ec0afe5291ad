//! The error that is decided upon: there is no compiler.

use std::fmt;

/// There is no way to compile for Wasm here: nobody's fault but the machine's.
#[derive(Debug)]
pub struct NoCompiler;

impl fmt::Display for NoCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("functions cannot be built")
    }
}

impl std::error::Error for NoCompiler {}
