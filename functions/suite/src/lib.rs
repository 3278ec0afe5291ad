//! The eleven functions of the runtime's bench, after the suite of Lumos (arXiv 2510.05118): bytes in, bytes out, and nothing else.
//!
//! The same code runs as a guest (`examples/`, one component each, built by `cargo xtask functions`) and natively (the program
//! `suite-native`), so that the difference is the runtime's and not the function's. Performs no I/O, reads no clock, and needs
//! no standard library. [`FUNCTIONS`] has them all with the inputs that the bench gives them.

#![no_std]

extern crate alloc;

pub mod audio;
pub mod cipher;
pub mod fibonacci;
pub mod fuzzy;
pub mod hello;
pub mod language;
pub mod mandelbrot;
pub mod planets;
pub mod primes;
pub mod resize;

mod bad_input;
mod inputs;

pub use bad_input::BadInput;

use alloc::vec::Vec;

/// Largest body, in and out: the contract's.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A function of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What it and its component are called.
    pub name: &'static str,
    /// The function itself.
    pub run: fn(&[u8]) -> Result<Vec<u8>, BadInput>,
    /// What the bench asks of it, small inputs first.
    pub inputs: &'static [Input],
}

/// An input of the bench.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// How large, in the function's own measure.
    pub label: &'static str,
    /// Makes the body; always the same.
    pub body: fn() -> Vec<u8>,
}

/// All of them, simple ones first.
pub const FUNCTIONS: [Entry; 11] = [
    Entry { name: "hello-world", run: hello::hello, inputs: &inputs::HELLO },
    Entry { name: "fibonacci", run: fibonacci::fibonacci, inputs: &inputs::FIBONACCI },
    Entry { name: "audio", run: audio::generate, inputs: &inputs::AUDIO },
    Entry { name: "resize", run: resize::resize, inputs: &inputs::RESIZE },
    Entry { name: "fuzzy-search", run: fuzzy::search, inputs: &inputs::FUZZY },
    Entry { name: "primes", run: primes::count, inputs: &inputs::PRIMES },
    Entry { name: "language-detection", run: language::detect, inputs: &inputs::LANGUAGE },
    Entry { name: "planets", run: planets::simulate, inputs: &inputs::PLANETS },
    Entry { name: "encrypt", run: cipher::encrypt, inputs: &inputs::ENCRYPT },
    Entry { name: "decrypt", run: cipher::decrypt, inputs: &inputs::DECRYPT },
    Entry { name: "mandelbrot", run: mandelbrot::draw, inputs: &inputs::MANDELBROT },
];

/// Finds a function by its name.
pub fn find(name: &str) -> Option<&'static Entry> {
    FUNCTIONS.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_takes_its_inputs_and_stays_within_the_largest_body() {
        for entry in &FUNCTIONS {
            for input in entry.inputs {
                let body = (input.body)();
                assert!(body.len() <= BODY_BYTES_MAX, "{} {}", entry.name, input.label);
                let answer = (entry.run)(&body).expect(entry.name);
                assert!(!answer.is_empty() && answer.len() <= BODY_BYTES_MAX, "{}", entry.name);
            }
        }
    }

    #[test]
    fn each_function_but_the_greeting_refuses_nonsense() {
        for entry in &FUNCTIONS {
            let refuses = (entry.run)(b"\xffnonsense").is_err();
            // A greeting takes any name.
            assert_eq!(refuses, entry.name != "hello-world", "{}", entry.name);
        }
    }
}
