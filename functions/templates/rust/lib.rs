//! Greets whoever the body names, and counts its calls.

use sdk::output::Level;
use sdk::{Fault, Guest, Request, output, state};

/// Where the count is kept; function.toml grants it.
const COUNT: &str = "calls";
/// Who is greeted where the body names nobody, as in a run that a timer starts.
const EVERYBODY: &str = "world";
/// Longest name that is greeted, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The function.
#[derive(Debug)]
pub struct Function;

impl Guest for Function {
    fn handle(request: Request) -> Result<Vec<u8>, Fault> {
        let name = std::str::from_utf8(&request.body)
            .map_err(|error| Fault::BadInput(format!("the name is not UTF-8: {error}")))?
            .trim();
        let name = if name.is_empty() { EVERYBODY } else { name };
        if NAME_BYTES_MAX < name.len() {
            let rule = format!("a name of {} bytes; it has at most {NAME_BYTES_MAX}", name.len());
            return Err(Fault::BadInput(rule));
        }
        let count = count()?;
        output::log(Level::Info, &format!("call {count}, for {name}"));
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

    #[test]
    fn who_has_no_name_is_everybody_and_a_long_one_is_refused() {
        let answer = Node::default().call::<Function>(Vec::new()).expect("everybody");
        assert!(answer.starts_with(b"hello, world"), "{answer:?}");
        let answer = Node::default().call::<Function>(vec![b'x'; NAME_BYTES_MAX + 1]);
        assert!(matches!(answer, Err(Fault::BadInput(_))), "{answer:?}");
    }
}
