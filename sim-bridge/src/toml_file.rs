//! TOML files with errors that name file, line, field and rule.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use orbit::elements::{ElementError, text_of};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Longest TOML file that is read, in bytes; 700 pairs take a tenth of it.
pub const TOML_BYTES_MAX: u64 = 1 << 20;

/// A file that cannot be used, with every problem that was found in it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is larger than any valid one.
    #[error("{}: is longer than {limit} bytes", file.display())]
    TooLong {
        /// The file.
        file: PathBuf,
        /// The bound.
        limit: u64,
    },
    /// It breaks rules.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1, if the problem has one.
    pub line: Option<usize>,
    /// The field, for example `pair[3].listen`; empty for the file as a whole.
    pub field: String,
    /// The rule and the refused value in words.
    pub rule: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if !self.field.is_empty() {
            write!(f, ", {}", self.field)?;
        }
        write!(f, ": {}", self.rule)
    }
}

impl From<Problem> for FileError {
    fn from(problem: Problem) -> Self {
        Self::Invalid(vec![problem])
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads a text file of at most `limit` bytes.
///
/// # Errors
/// [`FileError`] when it cannot be read, is longer, or is not UTF-8.
pub fn read_text(file: &Path, limit: u64) -> Result<String, FileError> {
    let failed = |source| FileError::Read { file: file.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(file)
        .map_err(failed)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if usize::try_from(limit).unwrap_or(usize::MAX) < bytes.len() {
        return Err(FileError::TooLong { file: file.to_owned(), limit });
    }
    let no_text = |error: ElementError| Problem {
        file: file.to_owned(),
        line: Some(error.line),
        field: String::new(),
        rule: format!("{} {}", error.value, error.rule),
    };
    Ok(text_of(bytes).map_err(no_text)?)
}

/// One step down a TOML tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Into a table.
    Key(&'a str),
    /// Into an array.
    Index(usize),
}

/// A TOML file that was read; knows where its values stand.
#[derive(Clone, Debug)]
pub struct Document {
    file: PathBuf,
    text: String,
}

impl Document {
    /// Reads the file.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be read or is longer than [`TOML_BYTES_MAX`].
    pub fn read(file: &Path) -> Result<Self, FileError> {
        Ok(Self { file: file.to_owned(), text: read_text(file, TOML_BYTES_MAX)? })
    }

    /// A text that was read from the file.
    pub fn of_text(file: &Path, text: &str) -> Self {
        Self { file: file.to_owned(), text: text.to_owned() }
    }

    /// The values of the file.
    ///
    /// # Errors
    /// [`Problem`] at the first place that is no TOML or does not fit `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        toml::from_str(&self.text).map_err(|error| {
            let span = error.span();
            let field = span.as_ref().map_or_else(String::new, |span| self.field_at(span));
            let line = span.map(|span| self.line_at(span.start));
            let rule = error.message().trim_end().replace('\n', ", ");
            Problem { file: self.file.clone(), line, field, rule }
        })
    }

    /// A problem with the value at `path`; without its line if nothing stands there.
    pub fn problem(&self, path: &[Step<'_>], rule: String) -> Problem {
        let line = DeTable::parse(&self.text)
            .ok()
            .and_then(|tree| span_of(tree.get_ref(), path))
            .map(|span| self.line_at(span.start));
        Problem { file: self.file.clone(), line, field: spell(path), rule }
    }

    fn line_at(&self, offset: usize) -> usize {
        let end = offset.min(self.text.len());
        1 + self.text.as_bytes().iter().take(end).filter(|byte| **byte == b'\n').count()
    }

    /// The path of the value in which `span` lies, or the word before `=` where nothing parses.
    fn field_at(&self, span: &Range<usize>) -> String {
        if let Ok(tree) = DeTable::parse(&self.text) {
            let mut best = Best { span, width: usize::MAX, path: String::new() };
            best.search_table(tree.get_ref(), "");
            return best.path;
        }
        let line = self.text.lines().nth(self.line_at(span.start) - 1).unwrap_or_default();
        line.split_once('=').map_or_else(String::new, |(key, _)| key.trim().to_owned())
    }
}

/// The smallest key or value around a span. Tables written as headers do not contain their
/// fields' spans, so everything is looked at.
struct Best<'a> {
    span: &'a Range<usize>,
    width: usize,
    path: String,
}

impl Best<'_> {
    fn search_table(&mut self, table: &DeTable<'_>, prefix: &str) {
        for (key, value) in table {
            let dot = if prefix.is_empty() { "" } else { "." };
            let path = format!("{prefix}{dot}{}", key.get_ref());
            self.offer(key.span(), &path);
            self.search_value(value, &path);
        }
    }

    fn search_value(&mut self, value: &Spanned<DeValue<'_>>, path: &str) {
        self.offer(value.span(), path);
        match value.get_ref() {
            DeValue::Table(table) => self.search_table(table, path),
            DeValue::Array(array) => {
                for (index, item) in array.iter().enumerate() {
                    self.search_value(item, &format!("{path}[{index}]"));
                }
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }

    fn offer(&mut self, candidate: Range<usize>, path: &str) {
        let around = candidate.start <= self.span.start && self.span.end <= candidate.end;
        // Of equals the last one lies deepest.
        if around && candidate.len() <= self.width {
            self.width = candidate.len();
            path.clone_into(&mut self.path);
        }
    }
}

fn span_of(table: &DeTable<'_>, path: &[Step<'_>]) -> Option<Range<usize>> {
    let (Step::Key(first), rest) = path.split_first()? else { return None };
    let mut value = table.get(*first)?;
    for step in rest {
        value = match (step, value.get_ref()) {
            (Step::Key(key), DeValue::Table(table)) => table.get(*key)?,
            (Step::Index(index), DeValue::Array(array)) => array.get(*index)?,
            _ => return None,
        };
    }
    Some(value.span())
}

/// A path as people write it: `pair[3].listen`.
pub fn spell(path: &[Step<'_>]) -> String {
    path.iter().fold(String::new(), |text, step| match step {
        Step::Key(key) if text.is_empty() => (*key).to_owned(),
        Step::Key(key) => format!("{text}.{key}"),
        Step::Index(index) => format!("{text}[{index}]"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its parsing is looked at")]
    struct Bed {
        rate: f64,
        #[serde(default)]
        pair: Vec<Pair>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its parsing is looked at")]
    struct Pair {
        port: u16,
    }

    #[track_caller]
    fn check(text: &str, line: usize, field: &str, rule: &str) {
        let document = Document { file: "bed.toml".into(), text: text.to_owned() };
        let problem = document.parse::<Bed>().unwrap_err();
        assert_eq!((problem.line, problem.field.as_str()), (Some(line), field), "{problem}");
        assert!(problem.to_string().contains(rule), "{problem}");
    }

    #[test]
    fn an_error_names_line_field_and_rule() {
        check("rate = 'x'\n", 1, "rate", "expected f64");
        check("rate = 1.0\n[[pair]]\nport = 1\n[[pair]]\nport = 70000\n", 5, "pair[1].port", "u16");
        check("rate = 1.0\n\nspeed = 3\n", 3, "speed", "unknown field `speed`");
        check("rate = 1.0\n[[pair]]\n", 2, "pair[0]", "missing field `port`");
        check("rate = 1.0\nport = = 3\n", 2, "port", "");
    }

    #[test]
    fn a_path_leads_to_its_line() {
        let text = "rate = 1.0\n[[pair]]\nport = 1\n[[pair]]\nport = 2\n";
        let document = Document { file: "bed.toml".into(), text: text.to_owned() };
        let path = [Step::Key("pair"), Step::Index(1), Step::Key("port")];
        let problem = document.problem(&path, "is taken".to_owned());
        assert_eq!(problem.to_string(), "bed.toml, line 5, pair[1].port: is taken");
    }

    #[test]
    fn a_file_is_read_up_to_a_bound_and_only_as_text() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("set.tle");
        let message = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            let told = read_text(&file, 20).map_err(|error| error.to_string());
            told.map_err(|error| error.replace(&format!("{}/", dir.path().display()), ""))
        };
        assert_eq!(message(b"12345678901234567890").unwrap().len(), 20);
        assert_eq!(message(&[b'x'; 21]).unwrap_err(), "set.tle: is longer than 20 bytes");
        let latin = "set.tle, line 2: byte 0xfc must be UTF-8 text";
        assert_eq!(message(b"SAT\nM\xfcnchen\n").unwrap_err(), latin);
        let packed = message(b"\x1f\x8b\x08").unwrap_err();
        assert!(packed.contains("line 1: byte 0x8b must be UTF-8 text; this is gzip"), "{packed}");
        let endless = read_text(Path::new("/dev/zero"), 20).unwrap_err().to_string();
        assert_eq!(endless, "/dev/zero: is longer than 20 bytes");
    }
}
