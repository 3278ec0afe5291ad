//! Answers its body as it came: what moving bytes in and out costs.

use sdk::{Fault, Guest, Request};

/// The function.
#[derive(Debug)]
pub struct Function;

impl Guest for Function {
    fn handle(request: Request) -> Result<Vec<u8>, Fault> {
        Ok(request.body)
    }
}

sdk::export!(Function);
