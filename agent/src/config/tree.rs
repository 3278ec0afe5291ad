//! A TOML document with the place of each of its values: parsed, merged with drop-ins, overridden by the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use toml::de::{DeTable, DeValue};

use super::Problem;

/// Where a value was written.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The file or the environment variable.
    pub(super) source: Rc<str>,
    /// The line in it, from 1.
    pub(super) line: Option<usize>,
}

impl Origin {
    pub(super) fn new(source: &str) -> Self {
        Self { source: source.into(), line: None }
    }

    fn at(source: &Rc<str>, text: &str, offset: usize) -> Self {
        let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
        let breaks = before.iter().filter(|byte| **byte == b'\n').count();
        Self { source: Rc::clone(source), line: Some(breaks + 1) }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// What TOML can hold.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Date,
    List(Vec<Entry>),
    Table(Table),
}

/// A table.
pub(super) type Table = BTreeMap<String, Entry>;

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => fmt::Display::fmt(number, f),
            Self::Float(number) => fmt::Display::fmt(number, f),
            Self::Bool(value) => fmt::Display::fmt(value, f),
            Self::Date => f.write_str("a date"),
            Self::List(_) => f.write_str("a list"),
            Self::Table(_) => f.write_str("a table"),
        }
    }
}

/// Reads a document; every syntax error goes to `problems`.
pub(super) fn parse(source: &str, text: &str, problems: &mut Vec<Problem>) -> Table {
    let (document, errors) = DeTable::parse_recoverable(text);
    let source: Rc<str> = source.into();
    for error in errors {
        let offset = error.span().map_or(text.len(), |span| span.start);
        problems.push(Problem::new(
            &Origin::at(&source, text, offset),
            "TOML",
            error.message().to_owned(),
        ));
    }
    table(document.get_ref(), &source, text)
}

fn table(table: &DeTable<'_>, source: &Rc<str>, text: &str) -> Table {
    let entry_of = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &toml::de::DeString<'_> = key.get_ref();
        (key.clone().into_owned(), entry(value, source, text))
    };
    table.iter().map(entry_of).collect()
}

fn entry(value: &toml::Spanned<DeValue<'_>>, source: &Rc<str>, text: &str) -> Entry {
    let origin = Origin::at(source, text, value.span().start);
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::Text(number.to_string()), Value::Integer),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .map_or_else(|_| Value::Text(number.as_str().to_owned()), Value::Float),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(list) => {
            Value::List(list.iter().map(|item| entry(item, source, text)).collect())
        }
        DeValue::Table(inner) => Value::Table(table(inner, source, text)),
    };
    Entry { value, origin }
}

/// Lays `over` upon `base`: tables merge, everything else is replaced as a whole.
pub(super) fn merge(base: &mut Table, over: Table) {
    for (key, entry) in over {
        match (base.get_mut(&key).map(|old| &mut old.value), entry) {
            (Some(Value::Table(old)), Entry { value: Value::Table(new), .. }) => merge(old, new),
            (_, entry) => {
                base.insert(key, entry);
            }
        }
    }
}

/// Lays a variable `STARBELT_<SECTION>__<KEY>` upon `base`; others are left alone, also those of sections
/// that belong to other processes of the same environment.
pub(super) fn override_from_env(base: &mut Table, sections: &[&str], name: &str, text: &str) {
    let Some((section, key)) = name.strip_prefix("STARBELT_").and_then(|n| n.split_once("__"))
    else {
        return;
    };
    let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
    if !sections.contains(&section.as_str()) {
        return;
    }
    let origin = Origin::new(&format!("environment variable {name}"));
    let value = value_of(text, &origin);
    let table = Entry { value: Value::Table(Table::new()), origin: origin.clone() };
    if let Value::Table(table) = &mut base.entry(section).or_insert(table).value {
        table.insert(key, Entry { value, origin });
    }
}

/// A TOML value where it is one, else the bare text.
fn value_of(text: &str, origin: &Origin) -> Value {
    match DeValue::parse(text) {
        Ok(value) => entry(&value, &origin.source, text).value,
        Err(_) => Value::Text(text.to_owned()),
    }
}
