//! Where a setting comes from: environment over drop-ins over the file. Knows lines for the messages.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{ConfigError, Problem};

/// The rule of a section whose time has not come.
const NOT_SUPPORTED: &str = "not supported by this version";

/// Variables that begin so and contain `__` are settings.
const VARIABLE_PREFIX: &str = "STARBELT_";

/// A configuration file and what overrides it.
#[derive(Clone, Debug)]
pub struct Layers {
    file: PathBuf,
    text: String,
    /// Drop-ins and variables, weakest first: where each comes from, and its settings.
    overrides: Vec<(PathBuf, Table)>,
}

impl Layers {
    /// Reads a file, its drop-ins and the settings among `variables`.
    ///
    /// # Errors
    /// [`ConfigError`] for a file that cannot be read or is no TOML.
    pub fn read(
        path: &Path,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = read_file(path)?;
        let mut overrides = Vec::new();
        for drop_in in drop_ins(path) {
            let text = read_file(&drop_in)?;
            let table = text.parse::<Table>().map_err(|error| refuse(&drop_in, &text, &error))?;
            overrides.push((drop_in, table));
        }
        overrides.extend(variables.filter_map(|(name, value)| setting(&name, &value)));
        Ok(Self { file: path.to_owned(), text, overrides })
    }

    /// Refuses sections that this version does not support yet, which is not the same as a slip of the pen.
    ///
    /// # Errors
    /// [`ConfigError`] with file and line of each.
    pub fn refuse_reserved(&self, sections: &[&str]) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        let mut say = |file: &Path, line, section: &str| {
            let (file, field) = (file.to_owned(), section.to_owned());
            let rule = NOT_SUPPORTED.to_owned();
            problems.push(Problem { file, line, field, rule });
        };
        // A text that is no TOML is told when it is decoded.
        let written = self.text.parse::<Table>().unwrap_or_default();
        for section in sections.iter().copied() {
            if written.contains_key(section) {
                say(&self.file, header_line(&self.text, section), section);
            }
            for (from, _) in self.overrides.iter().filter(|(_, set)| set.contains_key(section)) {
                say(from, None, section);
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigError(problems)) }
    }

    /// The settings of all layers as one value.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line and field of the first that does not fit its type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let alone = toml::from_str::<T>(&self.text);
        let mut merged = match (alone, self.text.parse::<Table>()) {
            // What is wrong in the file is said with its line, unless an override is there to mend it.
            (Err(error), _) if self.overrides.is_empty() => {
                return Err(refuse(&self.file, &self.text, &error));
            }
            (Ok(value), _) if self.overrides.is_empty() => return Ok(value),
            (_, Err(error)) => return Err(refuse(&self.file, &self.text, &error)),
            (_, Ok(table)) => table,
        };
        for (_, table) in &self.overrides {
            merge(&mut merged, table.clone());
        }
        merged.try_into::<T>().map_err(|error| {
            let names: Vec<String> =
                self.overrides.iter().map(|(from, _)| from.display().to_string()).collect();
            let rule = format!("{} (with {})", error.message(), names.join(", "));
            let field = String::new();
            ConfigError(vec![Problem { file: self.file.clone(), line: None, field, rule }])
        })
    }

    /// A problem of a field, with its file and line. `nth` counts the tables of an array from 0.
    pub fn problem(&self, section: &str, nth: usize, key: &str, rule: String) -> Problem {
        let field = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
        let overridden = self.overrides.iter().rev().find(|(_, table)| {
            let holder = if section.is_empty() { Some(table) } else { sub_table(table, section) };
            holder.is_some_and(|holder| holder.contains_key(key))
        });
        match overridden {
            Some((from, _)) => Problem { file: from.clone(), line: None, field, rule },
            None => {
                let line = line_of(&self.text, section, nth, key).or_else(|| {
                    // It may be written as an inline table of the section above.
                    let (above, key) = section.rsplit_once('.')?;
                    line_of(&self.text, above, 0, key)
                });
                Problem { file: self.file.clone(), line, field, rule }
            }
        }
    }
}

fn sub_table<'a>(table: &'a Table, section: &str) -> Option<&'a Table> {
    table.get(section).and_then(Value::as_table)
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| {
        let rule = format!("cannot be read: {error}");
        ConfigError(vec![Problem { file: path.to_owned(), line: None, field: String::new(), rule }])
    })
}

/// The files `<name>.d/*.toml` beside `<name>.toml`, by name.
fn drop_ins(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path.with_extension("d")).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

/// `STARBELT_HTTP__LISTEN=127.0.0.1:9000` is `listen = "127.0.0.1:9000"` in `[http]`.
fn setting(name: &str, value: &str) -> Option<(PathBuf, Table)> {
    let (section, key) = name.strip_prefix(VARIABLE_PREFIX)?.split_once("__")?;
    let as_toml = format!("v = {value}").parse::<Table>().ok().and_then(|mut t| t.remove("v"));
    let value = as_toml.unwrap_or_else(|| Value::String(value.to_owned()));
    let inner = Table::from_iter([(key.to_lowercase(), value)]);
    let outer = Table::from_iter([(section.to_lowercase(), Value::Table(inner))]);
    Some((PathBuf::from(format!("environment variable {name}")), outer))
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(more)) => merge(inner, more),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn refuse(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let line =
        error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
    let key = line.and_then(|line| text.lines().nth(line - 1)).and_then(key_of_line);
    ConfigError(vec![Problem {
        file: file.to_owned(),
        line,
        field: key.unwrap_or_default(),
        rule: error.message().trim().replace('\n', ", "),
    }])
}

fn key_of_line(line: &str) -> Option<String> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    (plain && !key.is_empty()).then(|| key.to_owned())
}

/// The first line that opens a table or one of its own, or that gives it a value.
fn header_line(text: &str, name: &str) -> Option<usize> {
    let opens = |line: &str| {
        let rest = line.trim().trim_start_matches('[').trim_start().strip_prefix(name);
        rest.is_some_and(|rest| rest.trim_start().starts_with(['.', ']', '=']))
    };
    text.lines().position(opens).map(|index| index + 1)
}

/// The line of a key in the `nth` table of that name, or of the table if it does not hold the key.
fn line_of(text: &str, section: &str, nth: usize, key: &str) -> Option<usize> {
    let (plain, array) = (format!("[{section}]"), format!("[[{section}]]"));
    let mut seen = 0;
    let mut inside = section.is_empty();
    let mut table_line = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            let header = line.split('#').next().unwrap_or_default().trim();
            let ours = header == plain || header == array;
            inside = ours && seen == nth;
            seen += usize::from(ours);
            if inside {
                table_line = Some(index + 1);
            }
        } else if inside && key_of_line(line).is_some_and(|found| found == key) {
            return Some(index + 1);
        }
    }
    table_line
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version = 1\n[http]\nlisten = \"x\" # here\n[[node]]\nname = \"a\"\n[[node]]\nname = \"b\"\nreserve = 2\n";

    #[test]
    fn a_field_is_found_by_table_and_number() {
        for (section, nth, key, line) in [
            ("", 0, "version", Some(1)),
            ("http", 0, "listen", Some(3)),
            ("node", 1, "reserve", Some(8)),
            ("node", 0, "reserve", Some(4)),
            ("bus", 0, "listen", None),
        ] {
            assert_eq!(line_of(TEXT, section, nth, key), line, "{section} {nth} {key}");
        }
    }

    #[test]
    fn a_table_is_found_by_whatever_opens_it() {
        for text in ["[cost]", "[[cost]]", "[cost.energy]", "cost = { x = 1 }", "cost.x = 1"] {
            assert_eq!(header_line(&format!("version = 1\n{text}\n"), "cost"), Some(2), "{text}");
        }
        assert_eq!(header_line("costs = 1\n[http]\n", "cost"), None);
    }

    #[test]
    fn variables_with_two_underscores_are_settings() {
        let (_, table) = setting("STARBELT_PLAN__PREDICTION", "false").unwrap();
        assert_eq!(table["plan"]["prediction"], Value::Boolean(false));
        let (_, table) = setting("STARBELT_HTTP__LISTEN", "127.0.0.1:9").unwrap();
        assert_eq!(table["http"]["listen"].as_str(), Some("127.0.0.1:9"));
        assert_eq!(setting("STARBELT_LOG", "debug"), None);
        assert_eq!(setting("HOME", "x__y"), None);
    }
}
