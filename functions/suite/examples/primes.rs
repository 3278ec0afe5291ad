//! `primes` as a guest.

use sdk::{Fault, Guest, Request};

/// The function.
#[derive(Debug)]
pub struct Function;

impl Guest for Function {
    fn handle(request: Request) -> Result<Vec<u8>, Fault> {
        suite::primes::count(&request.body).map_err(|bad| Fault::BadInput(bad.to_string()))
    }
}

sdk::export!(Function);
