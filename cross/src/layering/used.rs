//! Whether a package uses what its manifest declares: what is not used costs every build and says
//! something wrong about who knows whom.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The sources that every build of a package compiles, its unit tests included.
const BUILT: [&str; 2] = ["src", "build.rs"];
/// The sources that only tests, benches and examples compile.
const TESTED: [&str; 3] = ["tests", "benches", "examples"];

/// What is wrong with a package's declared dependencies, one line each.
///
/// # Errors
/// When its sources cannot be read.
pub(super) fn problems(package: &Value) -> Result<Vec<String>> {
    let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
    let name = text(package, "name").context("a package has no name")?;
    let manifest = text(package, "manifest_path").context("a package has no manifest")?;
    let folder = Path::new(&manifest).parent().context("a manifest lies nowhere")?;
    let (built, tested) = (sources(folder, &BUILT)?, sources(folder, &TESTED)?);
    let mut problems = Vec::new();
    for dependency in package.get("dependencies").and_then(Value::as_array).into_iter().flatten() {
        let declared = text(dependency, "rename").or_else(|| text(dependency, "name"));
        let declared = declared.context("a dependency has no name")?;
        let for_tests = text(dependency, "kind").as_deref() == Some("dev");
        let problem = judge(&declared, for_tests, &built, &tested);
        problems.extend(problem.map(|rule| format!("{name} → {declared}: {rule}")));
    }
    Ok(problems)
}

/// Which rule a declared dependency breaks, if any.
fn judge(declared: &str, for_tests: bool, built: &str, tested: &str) -> Option<&'static str> {
    let krate = declared.replace('-', "_");
    match (for_tests, names(built, &krate), names(tested, &krate)) {
        (_, true, _) | (true, _, true) => None,
        (false, false, true) => Some("only tests use it: move it to [dev-dependencies]"),
        (_, false, false) => Some("no source names it: remove it from the manifest"),
    }
}

/// Whether a source has a path that starts with this crate, such as `use serde;` or `serde::de`, or fields that it writes and reads,
/// `with = "serde_bytes"`.
fn names(source: &str, krate: &str) -> bool {
    source.match_indices(krate).any(|(at, _)| {
        let (before, rest) = (&source[..at], &source[at + krate.len()..]);
        // `protocol::belt::Fetch` is a module of `protocol`, `hot_belt::x` another crate.
        let is_start = !before.ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
        let is_path = rest.starts_with("::");
        let is_import = before.ends_with("use ") && rest.starts_with([';', ' ']);
        let is_codec = before.ends_with("with = \"") && rest.starts_with('"');
        is_start && (is_path || is_import || is_codec)
    })
}

/// All Rust sources below these folders (or in these files) of a package, one after the other.
fn sources(folder: &Path, parts: &[&str]) -> Result<String> {
    let mut text = String::new();
    for part in parts {
        append(&folder.join(part), &mut text)?;
    }
    Ok(text)
}

fn append(path: &Path, text: &mut String) -> Result<()> {
    let failed = || format!("cannot read {}", path.display());
    if path.is_dir() {
        for entry in fs::read_dir(path).with_context(failed)? {
            append(&entry.with_context(failed)?.path(), text)?;
        }
    } else if path.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
        text.push_str(&fs::read_to_string(path).with_context(failed)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_named_by_a_path_or_an_import() {
        for (source, expected) in [
            ("use belt::Store;", true),
            ("use belt;", true),
            ("use belt as state;", true),
            ("#[derive(belt::Error)]", true),
            ("#[serde(with = \"belt\")]", true),
            ("#[serde(rename = \"belt\")]", false),
            ("use protocol::belt::Fetch;", false),
            ("hot_belt::run();", false),
            ("belt_size::MAX", false),
            ("let belt = 3;", false),
        ] {
            assert_eq!(names(source, "belt"), expected, "{source}");
        }
    }

    #[test]
    fn what_nobody_uses_is_told_from_what_tests_use() {
        let (built, tested) = ("use wit_parser::Resolve;", "use tempfile::tempdir;");
        assert_eq!(judge("wit-parser", false, built, tested), None);
        assert_eq!(judge("wit-parser", true, built, tested), None);
        assert_eq!(judge("tempfile", true, built, tested), None);
        let moved = judge("tempfile", false, built, tested).unwrap();
        assert!(moved.contains("[dev-dependencies]"), "{moved}");
        let unused = judge("proptest", true, built, tested).unwrap();
        assert!(unused.contains("remove it"), "{unused}");
    }
}
