//! What a probe found: a value with its unit, quality and file, or why there is none and where it was looked for.

use serde::Serialize;
use serde_json::json;

use super::tree::Missing;

/// Digits after the point that are told: a microvolt in a volt.
const DIGITS: f64 = 1.0e6;

/// How far a value can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quality {
    /// As a driver measured it.
    Measured,
    /// As the kernel counted it.
    Counted,
    /// Computed from what drivers measured.
    Computed,
    /// Measured, but what the driver said was corrected; the note says how.
    Corrected,
}

impl Quality {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Counted => "counted",
            Self::Computed => "computed",
            Self::Corrected => "corrected",
        }
    }
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The value, in the unit that its owner states.
    pub value: f64,
    /// Its standard deviation in that unit, if the driver states one.
    pub sigma: Option<f64>,
    /// How far it can be trusted.
    pub quality: Quality,
    /// What is to be known about it.
    pub note: Option<&'static str>,
    /// The files it comes from, the most telling one first.
    pub paths: Vec<String>,
}

/// A value, or why there is none.
pub type Quantity = Result<Sample, Missing>;

impl Sample {
    /// As a driver measured it, from one file.
    pub fn measured(value: f64, path: String) -> Self {
        Self { value, sigma: None, quality: Quality::Measured, note: None, paths: vec![path] }
    }

    /// As the kernel counted it.
    pub fn counted(value: f64, path: String) -> Self {
        Self { quality: Quality::Counted, ..Self::measured(value, path) }
    }

    /// Computed from several files.
    pub const fn computed(value: f64, paths: Vec<String>) -> Self {
        Self { value, sigma: None, quality: Quality::Computed, note: None, paths }
    }

    /// The same with a note.
    pub fn noted(self, note: &'static str) -> Self {
        Self { note: Some(note), ..self }
    }
}

/// What came of a look.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A number.
    Number(Sample),
    /// A word, and the file it comes from.
    Word(String, String),
    /// Nothing.
    Nothing(Missing),
}

/// One value that a probe looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The probe.
    pub probe: &'static str,
    /// What was looked for.
    pub name: String,
    /// Its unit; empty for words and counts.
    pub unit: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// Where it was looked for, in order.
    pub tried: Vec<String>,
}

impl Finding {
    /// A number, or why there is none; where it was looked for may be left out if it is where it was found.
    pub fn number(
        probe: &'static str,
        name: String,
        unit: &'static str,
        quantity: Quantity,
        tried: Vec<String>,
    ) -> Self {
        let (outcome, tried) = match quantity {
            Ok(sample) => {
                let tried = if tried.is_empty() { sample.paths.clone() } else { tried };
                (Outcome::Number(sample), tried)
            }
            Err(missing) => (Outcome::Nothing(missing), tried),
        };
        Self { probe, name, unit, outcome, tried }
    }

    /// A word from one file, or why there is none.
    pub fn word(
        probe: &'static str,
        name: String,
        word: Result<String, Missing>,
        path: String,
    ) -> Self {
        let outcome = match word {
            Ok(word) => Outcome::Word(word, path.clone()),
            Err(missing) => Outcome::Nothing(missing),
        };
        Self { probe, name, unit: "", outcome, tried: vec![path] }
    }

    /// A probe that found nothing to read.
    pub fn nothing(probe: &'static str, missing: Missing, tried: Vec<String>) -> Self {
        let outcome = Outcome::Nothing(missing);
        Self { probe, name: "device".to_owned(), unit: "", outcome, tried }
    }

    /// As JSON: `value` is `null` if there is none, and then there is a `reason`.
    pub fn to_json(&self) -> serde_json::Value {
        let mut row = json!({
            "probe": self.probe,
            "name": self.name,
            "unit": self.unit,
            "value": null,
            "tried": self.tried,
        });
        match &self.outcome {
            Outcome::Number(sample) => {
                row["value"] = json!(told(sample.value));
                row["quality"] = json!(sample.quality.as_str());
                row["path"] = json!(sample.paths.first());
                row["from"] = json!(sample.paths);
                row["sigma"] = json!(sample.sigma.map(told));
                row["note"] = json!(sample.note);
            }
            Outcome::Word(word, path) => {
                row["value"] = json!(word);
                row["quality"] = json!(Quality::Measured.as_str());
                row["path"] = json!(path);
            }
            Outcome::Nothing(missing) => row["reason"] = json!(missing.to_string()),
        }
        row
    }

    /// As a line for people.
    pub fn to_line(&self) -> String {
        let Self { probe, name, unit, .. } = self;
        match &self.outcome {
            Outcome::Number(sample) => {
                let value = told(sample.value);
                let sigma = sample.sigma.map(|sigma| format!(" ± {}", told(sigma)));
                let note = sample.note.map(|note| format!(" ({note})"));
                let (sigma, note) = (sigma.unwrap_or_default(), note.unwrap_or_default());
                let from = sample.paths.join(" ");
                let quality = sample.quality.as_str();
                let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
                format!("{probe} {name}: {value}{sigma}{unit}, {quality}{note}, {from}")
            }
            Outcome::Word(word, path) => format!("{probe} {name}: {word}, {path}"),
            Outcome::Nothing(missing) => {
                format!("{probe} {name}: none: {missing}; tried {}", self.tried.join(" "))
            }
        }
    }
}

/// A value as it is told: without the dust of binary fractions.
fn told(value: f64) -> f64 {
    (value * DIGITS).round() / DIGITS
}
