//! Reads the sky file and the element sets that it names; says file, line, field and rule of what is wrong.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use orbit::elements::{ELEMENTS_BYTES_MAX, text_of};
use orbit::sky_spec::SpecProblem;
use orbit::{Sky, SkyError, SkySpec};

use crate::config::{Config, ConfigError, Layers, Problem};

/// Prepares the sky that a file describes.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong with the file or the element sets.
pub fn load(path: &Path) -> Result<Sky, ConfigError> {
    let layers = Layers::read(path, std::iter::empty())?;
    let spec: SkySpec = layers.decode()?;
    let elements_path = spec.constellation.file.as_ref().map(|file| {
        // Like all paths in a configuration: relative to the file that names it.
        Config::resolve(path, Path::new(file))
    });
    let elements = match &elements_path {
        None => None,
        Some(elements_path) => {
            let bytes = read(elements_path).map_err(|error| {
                let rule = format!("{} cannot be read: {error}", elements_path.display());
                ConfigError(vec![layers.problem("constellation", 0, "file", rule)])
            })?;
            Some(
                text_of(bytes)
                    .map_err(|error| refuse(path, elements_path.clone(), error.into()))?,
            )
        }
    };
    Sky::new(&spec, elements.as_deref())
        .map_err(|error| refuse(path, elements_path.unwrap_or_default(), error))
}

/// The bytes of a file of element sets, which may be no longer than [`ELEMENTS_BYTES_MAX`].
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = File::open(path)?.take(ELEMENTS_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if usize::try_from(ELEMENTS_BYTES_MAX).is_ok_and(|max| max < length) {
        let reason = format!("it is longer than {ELEMENTS_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}

fn refuse(path: &Path, elements_path: PathBuf, error: SkyError) -> ConfigError {
    match error {
        SkyError::Spec(problems) => {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            ConfigError(problems.into_iter().map(|problem| of_spec(path, &text, problem)).collect())
        }
        SkyError::Elements(error) => ConfigError(vec![Problem {
            file: elements_path,
            line: (error.line != 0).then_some(error.line),
            field: error.place(),
            rule: format!("{:?} {}", error.value, error.rule),
        }]),
        other => ConfigError(vec![Problem {
            file: path.to_owned(),
            line: None,
            field: String::new(),
            rule: other.to_string(),
        }]),
    }
}

/// A broken rule with the line that shows key and value, if there is one.
fn of_spec(path: &Path, text: &str, problem: SpecProblem) -> Problem {
    let key = problem.key.rsplit(['.', ' ']).next().unwrap_or_default();
    let shows = |line: &str| line.contains(key) && line.contains(problem.value.trim_matches('"'));
    let line = text.lines().position(shows).map(|index| index + 1);
    let rule = format!("{} {}", problem.value, problem.rule);
    Problem { file: path.to_owned(), line, field: problem.key, rule }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[constellation]\nwalker = { name = \"w\", planes = 3, slots = 4, altitude_km = 550.0, inclination_deg = 53.0, phasing = 1, epoch = \"2026-01-01T00:00:00Z\" }\n[links]\nmin_elevation_deg = 25.0\n";

    #[track_caller]
    fn check(text: &str, elements: Option<&str>, expected: &[&str]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sky.toml");
        std::fs::write(&path, text).unwrap();
        if let Some(elements) = elements {
            std::fs::write(dir.path().join("stars.tle"), elements).unwrap();
        }
        match load(&path) {
            Ok(_) => assert_eq!(expected, &[] as &[&str]),
            Err(error) => {
                let message = error.to_string();
                for part in expected {
                    assert!(message.contains(part), "{message}");
                }
                assert!(!expected.is_empty(), "{message}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_file_line_field_and_rule() {
        check(GOOD, None, &[]);
        let low = GOOD.replace("25.0", "-3.0");
        check(&low, None, &["sky.toml:4", "min_elevation_deg", "-3", "must be 0 to 89"]);
        let unknown = format!("{GOOD}mask = 3\n");
        check(&unknown, None, &["sky.toml:5", "mask", "unknown field"]);
        let file = "[constellation]\nfile = \"stars.tle\"\n";
        check(file, None, &["sky.toml:2", "constellation.file", "stars.tle cannot be read"]);
        let bad = "X\n1 25544U\n2 25544\n";
        check(file, Some(bad), &["stars.tle:2"]);
        let omm = "[{\"OBJECT_NAME\":\"A\",\n\"NORAD_CAT_ID\":-1}]";
        check(file, Some(omm), &["stars.tle:2: column 16, record 1 \"A\", NORAD_CAT_ID: \"-1\""]);
    }

    #[test]
    fn a_set_that_is_no_text_or_has_no_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sky.toml");
        std::fs::write(&path, "[constellation]\nfile = \"stars.tle\"\n").unwrap();
        std::fs::write(dir.path().join("stars.tle"), b"A\n\xe9").unwrap();
        let message = load(&path).unwrap_err().to_string();
        assert!(
            message.contains("stars.tle:2: file: \"byte 0xe9\" must be UTF-8 text"),
            "{message}"
        );
        std::fs::write(&path, "[constellation]\nfile = \"/dev/zero\"\n").unwrap();
        let message = load(&path).unwrap_err().to_string();
        assert!(message.contains("cannot be read: it is longer than"), "{message}");
    }
}
