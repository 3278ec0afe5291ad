//! What a start has to know before anything else: where it keeps what lasts, and how many failed starts are too many.
//!
//! Read leniently, since a configuration may be meant for the program that an update brought, and be wrong for the packaged one, which has to
//! start it. Everything else is said by the program that runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tree::{self, Table, Value};
use super::{drop_ins, read_file, section};
use crate::life::starts::Limits;

/// What is known early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Early {
    /// The directory of the store.
    pub dir: PathBuf,
    /// When a node goes into safe mode.
    pub limits: Limits,
}

impl Early {
    /// Reads it, as far as it can be read; `None` without a directory of the store: then the whole says what is wrong.
    pub fn read(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Option<Self> {
        let mut texts = vec![read_file(path).ok()?];
        texts.extend(drop_ins(path).ok()?.iter().filter_map(|file| read_file(file).ok()));
        let (mut problems, mut merged) = (Vec::new(), Table::new());
        for text in &texts {
            tree::merge(&mut merged, tree::parse("", text, &mut problems));
        }
        for (name, text) in environment {
            tree::override_from_env(&mut merged, &section::NAMES, &name, &text);
        }
        let Some(Value::Text(dir)) = value(&merged, "store", "dir") else { return None };
        let dir = path.parent().unwrap_or_else(|| Path::new("")).join(dir);
        let number = |key, range: &std::ops::RangeInclusive<u64>, default| {
            let given = match value(&merged, "start", key) {
                Some(Value::Integer(number)) => u64::try_from(*number).ok(),
                _ => None,
            };
            given.filter(|number| range.contains(number)).unwrap_or(default)
        };
        let failures = number("failures_max", &section::FAILURES, section::FAILURES_MAX);
        let backoff = number("backoff_s", &section::BACKOFF_S, section::BACKOFF);
        Some(Self {
            dir,
            limits: Limits {
                failures_max: u32::try_from(failures).unwrap_or(1),
                backoff: Duration::from_secs(backoff),
            },
        })
    }
}

fn value<'t>(table: &'t Table, section: &str, key: &str) -> Option<&'t Value> {
    let Value::Table(section) = &table.get(section)?.value else { return None };
    section.get(key).map(|entry| &entry.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn early(text: &str, variables: &[(&str, &str)]) -> Option<Early> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.toml");
        std::fs::write(&path, text).unwrap();
        let variables = variables.iter().map(|(name, text)| (name.to_string(), text.to_string()));
        let early = Early::read(&path, variables)?;
        assert!(early.dir.starts_with(dir.path()) || early.dir.is_absolute());
        let dir = early.dir.strip_prefix(dir.path()).unwrap_or(&early.dir).to_owned();
        Some(Early { dir, ..early })
    }

    #[test]
    fn it_is_read_also_from_what_a_later_version_understands() {
        let limits = |failures_max, s| Limits { failures_max, backoff: Duration::from_secs(s) };
        let later = "version = 2\n[later]\nkey = []\n[store]\ndir = \"store\"\nlater = 1\n";
        let expected = Early { dir: "store".into(), limits: limits(5, 600) };
        assert_eq!(early(later, &[]), Some(expected));
        let text = format!("{later}[start]\nfailures_max = 3\nbackoff_s = 60\n");
        let variables = [("STARBELT_STORE__DIR", "/var/lib/other")];
        let expected = Early { dir: "/var/lib/other".into(), limits: limits(3, 60) };
        assert_eq!(early(&text, &variables), Some(expected));
        // What is out of range is told by the whole.
        let wrong = format!("{later}[start]\nfailures_max = 0\nbackoff_s = \"x\"\n");
        assert_eq!(early(&wrong, &[]).unwrap().limits, limits(5, 600));
        assert_eq!(early("[node]\nname = \"a\"\n", &[]), None);
        assert_eq!(Early::read(Path::new("/nowhere/agent.toml"), []), None);
    }
}
