//! Lasting state between runs: one file, written whole or not at all.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use types::StateKey;

use super::host::Values;
use super::{FAILURE, RunError, read};
use crate::state::{GROUP_VALUES_MAX, VALUE_BYTES_MAX};

/// The file in the folder.
const FILE: &str = "state.json";
/// Largest such file: all values of a task at their largest, two digits a byte, and half of that again for the rest.
const FILE_BYTES_MAX: u64 = 3 * (GROUP_VALUES_MAX as u64) * (VALUE_BYTES_MAX as u64);

/// A value in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// Counts its writes.
    version: u64,
    /// Hexadecimal.
    value: String,
}

/// What the last run left; nothing if there was none.
pub(super) fn load(dir: &Path) -> Result<Values, RunError> {
    let file = dir.join(FILE);
    if !file.exists() {
        return Ok(Values::new());
    }
    let bad = |reason: String| {
        let next = "mend it, or remove it to begin without state";
        RunError::new(FAILURE, format!("{}: {reason}; {next}", file.display()))
    };
    let bytes = read(&file, (FILE_BYTES_MAX, FAILURE))?;
    let kept: BTreeMap<String, Kept> =
        serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
    let value = |(key, kept): (String, Kept)| {
        let key = StateKey::new(&key).map_err(|error| bad(error.to_string()))?;
        let value = unhex(&kept.value)
            .filter(|value| value.len() <= VALUE_BYTES_MAX)
            .ok_or_else(|| bad(format!("{}: no value by the rules", key.as_str())))?;
        Ok((key, (value, kept.version)))
    };
    let values: Values = kept.into_iter().map(value).collect::<Result<_, RunError>>()?;
    match values.len() <= GROUP_VALUES_MAX {
        true => Ok(values),
        false => Err(bad(format!("{} values are more than {GROUP_VALUES_MAX}", values.len()))),
    }
}

/// Keeps state for the next run.
pub(super) fn save(dir: &Path, values: &Values) -> Result<(), RunError> {
    let kept: BTreeMap<&str, Kept> = values
        .iter()
        .map(|(key, (value, version))| {
            (key.as_str(), Kept { version: *version, value: hex(value) })
        })
        .collect();
    let (part, file) = (dir.join("state.part"), dir.join(FILE));
    let write = || -> io::Result<()> {
        fs::create_dir_all(dir)?;
        let text = serde_json::to_vec_pretty(&kept)?;
        let mut opened = File::create(&part)?;
        opened.write_all(&text)?;
        opened.sync_all()?;
        fs::rename(&part, &file)
    };
    write().map_err(|error| {
        RunError::new(FAILURE, format!("{} cannot be written: {error}", file.display()))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    let is_digit = |digit: &u8| digit.is_ascii_hexdigit();
    if !rest.is_empty() || !digits.iter().all(is_digit) {
        return None;
    }
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("not/yet");
        assert_eq!(load(&dir).unwrap(), Values::new());
        let key = |text| StateKey::new(text).unwrap();
        let values = Values::from([(key("a"), (vec![0, 255], 3)), (key("a/b"), (Vec::new(), 1))]);
        save(&dir, &values).unwrap();
        assert_eq!(load(&dir).unwrap(), values);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_was_changed_is_refused_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        for (text, why) in [
            ("", "EOF"),
            ("{\"../a\": {\"version\": 1, \"value\": \"\"}}", "breaks the rule"),
            ("{\"a\": {\"version\": 1, \"value\": \"0\"}}", "no value by the rules"),
            ("{\"a\": {\"version\": 1, \"value\": \"+1\"}}", "no value by the rules"),
            ("{\"a\": {\"version\": 1, \"value\": \"\", \"x\": 1}}", "unknown field"),
        ] {
            fs::write(dir.path().join(FILE), text).unwrap();
            let error = load(dir.path()).unwrap_err().to_string();
            assert!(error.contains("state.json") && error.contains(why), "{error}");
        }
    }
}
