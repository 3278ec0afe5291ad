//! Greets whoever the body names, and counts its calls. It uses the whole standard library: what it prints is logged, and maps
//! get their randomness from the node.

use std::collections::HashMap;

use sdk::{Fault, Guest, Request, state};

/// Where the count is kept; function.toml grants it.
const COUNT: &str = "calls";
/// Who is greeted where the body names nobody, as in a run that a timer starts.
const EVERYBODY: &str = "world";
/// Most letters that are told apart: the log stays short.
const LETTERS_MAX: usize = 32;

/// The function.
#[derive(Debug)]
pub struct Function;

impl Guest for Function {
    fn handle(request: Request) -> Result<Vec<u8>, Fault> {
        let name = std::str::from_utf8(&request.body)
            .map_err(|error| Fault::BadInput(format!("the name is not UTF-8: {error}")))?
            .trim();
        let name = if name.is_empty() { EVERYBODY } else { name };
        let mut letters: HashMap<char, u32> = HashMap::new();
        for letter in name.chars() {
            *letters.entry(letter).or_default() += 1;
        }
        if LETTERS_MAX < letters.len() {
            let rule = format!("a name of {} letters; it has at most {LETTERS_MAX}", letters.len());
            return Err(Fault::BadInput(rule));
        }
        let count = count()?;
        println!("call {count}, for {name}, of {} letters", letters.len());
        Ok(format!("hello, {name}; this is call {count}\n").into_bytes())
    }
}

/// Counts this call. What is written here lasts if the call succeeds.
fn count() -> Result<u64, Fault> {
    let last = state::get(COUNT)?;
    let version = last.as_ref().map_or(0, |last| last.version);
    let bytes = last.map_or([0; 8], |last| last.value.try_into().unwrap_or_default());
    let count = u64::from_le_bytes(bytes) + 1;
    state::put(COUNT, &count.to_le_bytes(), Some(version))?;
    Ok(count)
}

sdk::export!(Function);

#[cfg(test)]
mod tests {
    use sdk::fake::Node;

    use super::*;

    #[test]
    fn calls_are_counted() {
        let mut node = Node::default();
        for count in 1..4 {
            let answer = node.call::<Function>(b"world".to_vec()).expect("a good name");
            let expected = format!("hello, world; this is call {count}\n");
            assert_eq!(String::from_utf8_lossy(&answer), expected);
        }
    }
}
