//! Reads `sky.toml` and the element sets that it names.

use std::path::Path;

use orbit::elements::{ELEMENTS_BYTES_MAX, ElementError};
use orbit::sky_spec::SpecProblem;
use orbit::{Sky, SkyError, SkySpec};

use crate::toml_file::{Document, FileError, Problem, Step, read_text};

/// Reads and prepares the sky that `file` describes.
///
/// # Errors
/// [`FileError`] with file, line, field and rule of what is wrong in either file.
pub fn load(file: &Path) -> Result<Sky, FileError> {
    let document = Document::read(file)?;
    let spec: SkySpec = document.parse()?;
    let problems = spec.problems();
    if !problems.is_empty() {
        return Err(refused(&document, &spec, problems));
    }
    let elements = spec.constellation.file.as_ref().map(|name| file.with_file_name(name));
    let text = elements.as_ref().map(|path| read_text(path, ELEMENTS_BYTES_MAX)).transpose()?;
    Sky::new(&spec, text.as_deref()).map_err(|error| match (error, elements) {
        (SkyError::Elements(error), Some(path)) => element_problem(&path, error).into(),
        (SkyError::Spec(problems), _) => refused(&document, &spec, problems),
        (error, _) => document.problem(&[], error.to_string()).into(),
    })
}

/// What people should know of a sky that is good enough to be replayed.
pub fn warning(sky: &Sky) -> Option<String> {
    let mut ahead = sky.ahead_of_time();
    let first = ahead.next()?;
    let more = match ahead.count() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    Some(format!(
        "the epoch of {:?} (line {}){more} is {}, more than 30 days after the median of the element sets: it \
         does not count for the start of the replay",
        first.name, first.line, first.epoch
    ))
}

fn element_problem(file: &Path, error: ElementError) -> Problem {
    Problem {
        file: file.to_owned(),
        line: Some(error.line),
        field: error.place(),
        rule: format!("{:?} {}", error.value, error.rule),
    }
}

fn refused(document: &Document, spec: &SkySpec, problems: Vec<SpecProblem>) -> FileError {
    let place = |problem: SpecProblem| {
        let path = path_of(spec, &problem);
        let (line, rule) = (
            path.and_then(|path| document.problem(&path, String::new()).line),
            format!("{} {}", problem.value, problem.rule),
        );
        Problem { line, field: problem.key, ..document.problem(&[], rule) }
    };
    FileError::Invalid(problems.into_iter().map(place).collect())
}

/// Where the value of a problem stands. Its key is a path of keys (`links.isl`), or a table, the
/// quoted name of its node and perhaps a key (`site "drone" lat_deg`).
fn path_of<'a>(spec: &SkySpec, problem: &'a SpecProblem) -> Option<Vec<Step<'a>>> {
    let Some((table, rest)) = problem.key.split_once(" \"") else {
        return Some(problem.key.split('.').map(Step::Key).collect());
    };
    let (node, key) = rest.split_once('"')?;
    let index = match table {
        "site" => spec.site.iter().position(|site| site.node.as_str() == node),
        "satellite" => spec.satellite.iter().position(|satellite| satellite.node.as_str() == node),
        "same_place" => spec.same_place.iter().position(|same| same.node.as_str() == node),
        _ => None,
    };
    let key = match key.trim() {
        "" => "node",
        key => key,
    };
    Some(vec![Step::Key(table), Step::Index(index?), Step::Key(key)])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const WALKER: &str = "walker = { name = \"w\", planes = 4, slots = 4, altitude_km = 550.0, \
        inclination_deg = 53.0, phasing = 1, epoch = \"2026-01-01T00:00:00Z\" }\n";

    fn load_texts(sky: &str, elements: &str) -> (Result<Sky, FileError>, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("sky.toml"), sky).unwrap();
        std::fs::write(dir.path().join("set.tle"), elements).unwrap();
        (load(&dir.path().join("sky.toml")), dir.path().to_owned())
    }

    #[track_caller]
    fn check(sky: &str, elements: &str, expected: &str) {
        let (answer, dir) = load_texts(sky, elements);
        let message = answer.unwrap_err().to_string();
        let message = message.replace(&format!("{}/", dir.display()), "");
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn a_good_sky_is_prepared() {
        let sky = load_texts(&format!("[constellation]\n{WALKER}"), "").0.unwrap();
        assert_eq!(sky.satellites(), 16);
    }

    #[test]
    fn what_is_wrong_is_named_with_file_line_and_field() {
        let walker = format!("[constellation]\n{WALKER}");
        check("[constellation]\nfile = 3\n", "", "sky.toml, line 2, constellation.file: ");
        check("[constellation]\nfil = 'x'\n", "", "sky.toml, line 2, constellation.fil: unknown");
        let mask = format!("{walker}[links]\nmin_elevation_deg = 99.0\n");
        check(&mask, "", "sky.toml, line 4, links.min_elevation_deg: 99 must be 0 to 89");
        let site = format!("{walker}[[site]]\nnode = 'x'\nlat_deg = 99.0\nlon_deg = 0.0\n");
        check(&site, "", "sky.toml, line 5, site \"x\" lat_deg: 99 must be");
        let satellite = format!("{walker}[[satellite]]\nnode = 's'\nname = 'w-09-09'\n");
        check(&satellite, "", "sky.toml, line ");
        let file = "[constellation]\nfile = 'set.tle'\n";
        check(file, "SAT\n1 25544U\n", "set.tle, line 2, ");
        let omm = "[\n{\n \"OBJECT_NAME\": \"A\",\n \"EPOCH\": 7}]";
        check(
            file,
            omm,
            "set.tle, line 4, column 11, record 1 \"A\", EPOCH: \"7\" must be UTC like",
        );
        check("[constellation]\nfile = 'absent.tle'\n", "", "absent.tle: cannot be read");
    }
}
