//! Guests beside the same code run natively.

use std::io::Write as _;

use super::*;

/// Bodies of each function that a seed makes.
const SEEDED: usize = 16;

/// These functions as guests and natively, with bodies that `bodies` makes.
fn check(
    test: &str,
    execution: Execution,
    names: &[&str],
    mut bodies: impl FnMut(&Entry) -> Vec<Vec<u8>>,
) {
    if let Err(missing) = artifacts::suite_available() {
        writeln!(std::io::stdout(), "skipped: {test}: {missing}").expect("stdout is open");
        return;
    }
    let runtime = stage::runtime(execution, None).unwrap();
    for entry in FUNCTIONS.iter().filter(|entry| names.contains(&entry.name)) {
        let wasm = std::fs::read(artifacts::suite_path(entry.name)).unwrap();
        let function = runtime.load(&wasm).unwrap();
        for body in bodies(entry) {
            let answer = stage::call(&runtime, &function, body.clone());
            match (entry.run)(&body) {
                Ok(expected) => assert_eq!(answer.unwrap(), expected, "{}", entry.name),
                Err(bad) => {
                    let said = format!("{:#}", answer.unwrap_err());
                    assert!(said.contains(&bad.0), "{}: {said}", entry.name);
                }
            }
        }
    }
}

/// The first input of the bench, and what is none.
fn first(entry: &Entry) -> Vec<Vec<u8>> {
    vec![(entry.inputs[0].body)(), b"\xffnonsense".to_vec()]
}

/// Numbers from a seed: the steps of `SplitMix64` (Steele, Lea, Flood 2014).
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> usize {
        usize::try_from(self.next() % bound).expect("bounds are small")
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// Words of few letters, so that parts of them repeat.
    fn text(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| b"etaoin shrd"[self.below(11)]).collect()
    }

    fn body(&mut self, name: &str) -> Vec<u8> {
        let number = |value: usize| value.to_string().into_bytes();
        match name {
            "fibonacci" => number(self.below(100_000)),
            "audio" => number(1 + self.below(2)),
            "primes" => number(2 + self.below(50_000)),
            "planets" => number(self.below(2_000)),
            "mandelbrot" => number(1 + self.below(150)),
            "language-detection" => {
                let count = 1 + self.below(4_000);
                self.text(count)
            }
            "fuzzy-search" => {
                let (pattern, text) = (1 + self.below(64), self.below(4_000));
                let head = [&self.text(pattern)[..], b"\n", &number(self.below(4)), b"\n"].concat();
                [head, self.text(text)].concat()
            }
            "resize" => {
                let [width, height] = [1 + self.below(60), 1 + self.below(60)];
                let factor = 1 + self.below(40);
                let head = format!("{}.{}\nP6\n{width} {height}\n255\n", factor / 10, factor % 10);
                [head.into_bytes(), self.bytes(3 * width * height)].concat()
            }
            // Bytes are good for all others; one in four ciphertexts is whole.
            "decrypt" if self.below(4) == 0 => {
                let length = self.below(2_000);
                let head = [self.bytes(44), vec![0]].concat();
                let text = [head.clone(), self.bytes(length)].concat();
                let sealed = suite::cipher::encrypt(&text).expect("it is short");
                [head, sealed].concat()
            }
            _ => {
                let count = self.below(4_000);
                self.bytes(count)
            }
        }
    }
}

#[test]
fn guests_answer_byte_for_byte_what_the_same_code_answers_natively() {
    let test = "guests_answer_byte_for_byte_what_the_same_code_answers_natively";
    check(test, Execution::Native, &FUNCTIONS.map(|entry| entry.name), first);
}

#[test]
fn guests_answer_what_the_same_code_answers_to_inputs_from_a_seed() {
    let test = "guests_answer_what_the_same_code_answers_to_inputs_from_a_seed";
    let mut seeded = Seeded(20_260_801);
    check(test, Execution::Native, &FUNCTIONS.map(|entry| entry.name), |entry| {
        (0..SEEDED).map(|_| seeded.body(entry.name)).collect()
    });
}

#[test]
fn the_interpreter_answers_the_same() {
    let names = ["hello-world", "mandelbrot", "encrypt", "planets"];
    check("the_interpreter_answers_the_same", Execution::Interpreted, &names, first);
}

#[test]
fn each_function_has_a_component() {
    let named = FUNCTIONS.map(|entry| entry.name);
    assert!(named.iter().all(|name| artifacts::SUITE.contains(name)));
    assert_eq!(artifacts::SUITE.len(), named.len() + 1, "and echo");
}
