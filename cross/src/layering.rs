//! `layering`: who depends on whom is a table, and the manifests, the table and its copy in
//! docs/architecture.md agree. What a manifest declares is used.

mod table;
mod used;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::command::{print, say};
use crate::workspace::Workspace;
use table::TABLE;

/// Where the table is shown to people.
const PAGE: &str = "docs/architecture.md";
/// What stands around it there.
const MARKS: [&str; 2] = ["<!-- layering -->", "<!-- /layering -->"];

/// What one package may depend on.
#[derive(Debug)]
struct Row {
    package: &'static str,
    /// Our packages.
    ours: &'static [&'static str],
    /// Crates from outside.
    outside: &'static [&'static str],
    /// Further packages and crates, for its tests and benches only.
    dev: &'static [&'static str],
}

/// What a manifest says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Edges {
    ours: BTreeSet<String>,
    outside: BTreeSet<String>,
    dev: BTreeSet<String>,
}

/// Compares, or prints the table with `--print`.
///
/// # Errors
/// When they differ; then every difference is listed.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    match args {
        [] => {}
        [option] if option == "--print" => return print(&markdown()),
        _ => bail!("layering takes no argument but `--print`"),
    }
    let mut problems = Vec::new();
    let found = manifests(workspace)?;
    problems.extend(compare(&found));
    for package in workspace.packages() {
        let path = package.get("manifest_path").and_then(Value::as_str).unwrap_or_default();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        if !has_workspace_lints(&text) {
            problems.push(format!("{path}: `[lints]` without `workspace = true`"));
        }
        problems.extend(used::problems(package)?);
    }
    let page = fs::read_to_string(workspace.path(PAGE)).unwrap_or_default();
    if shown_table(&page) != Some(markdown().trim()) {
        let what = "the table is missing or differs";
        problems.push(format!(
            "{PAGE}: {what}: put the output of `cargo xtask layering --print` there"
        ));
    }
    for problem in &problems {
        say(problem);
    }
    match problems.len() {
        0 => Ok(()),
        count => bail!("{count} differences between sources, manifests, table and {PAGE}"),
    }
}

/// The table for people, between its marks.
fn markdown() -> String {
    let cell = |names: &[&str]| match names {
        [] => String::from("–"),
        names => names.join(", "),
    };
    let rows = TABLE.iter().map(|row| {
        let (ours, outside, dev) = (cell(row.ours), cell(row.outside), cell(row.dev));
        format!("| {} | {ours} | {outside} | {dev} |\n", row.package)
    });
    let head = "| package | ours | from outside | for tests besides |\n|---|---|---|---|\n";
    format!("{}\n{head}{}{}\n", MARKS[0], rows.collect::<String>(), MARKS[1])
}

/// The part of a page from the first mark to the second.
fn shown_table(page: &str) -> Option<&str> {
    let start = page.find(MARKS[0])?;
    let end = page.find(MARKS[1])? + MARKS[1].len();
    page.get(start..end)
}

/// The edges of all packages, as cargo reads them.
fn manifests(workspace: &Workspace) -> Result<BTreeMap<String, Edges>> {
    let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    let ours: BTreeSet<String> = workspace.packages().filter_map(name).collect();
    let mut found = BTreeMap::new();
    for package in workspace.packages() {
        let dependencies = package.get("dependencies").and_then(Value::as_array);
        let mut edges = Edges::default();
        for dependency in dependencies.into_iter().flatten() {
            let to = name(dependency).context("a dependency has no name")?;
            match dependency.get("kind").and_then(Value::as_str) {
                Some("dev") => edges.dev.insert(to),
                _ if ours.contains(&to) => edges.ours.insert(to),
                _ => edges.outside.insert(to),
            };
        }
        edges.dev.retain(|to| !edges.ours.contains(to) && !edges.outside.contains(to));
        found.insert(name(package).context("a package has no name")?, edges);
    }
    Ok(found)
}

/// What the manifests have and the table has not, and the other way round.
fn compare(found: &BTreeMap<String, Edges>) -> Vec<String> {
    let mut problems = Vec::new();
    let nothing = Edges::default();
    for row in TABLE {
        if !found.contains_key(row.package) {
            problems.push(format!("{}: in the table, but no package", row.package));
            continue;
        }
        let edges = found.get(row.package).unwrap_or(&nothing);
        let columns = [
            ("", row.ours, &edges.ours),
            ("", row.outside, &edges.outside),
            (" for tests", row.dev, &edges.dev),
        ];
        for (purpose, allowed, is) in columns {
            let allowed: BTreeSet<String> = allowed.iter().map(|&name| name.to_owned()).collect();
            for to in is.difference(&allowed) {
                let rule =
                    "the table does not allow it: docs/contributing.md tells what a new edge needs";
                problems.push(format!("{} → {to}{purpose}: {rule}", row.package));
            }
            for to in allowed.difference(is) {
                let rule = "the table has it, the manifest has not";
                problems.push(format!("{} → {to}{purpose}: {rule}", row.package));
            }
        }
    }
    let known: BTreeSet<&str> = TABLE.iter().map(|row| row.package).collect();
    let unknown = found.keys().filter(|package| !known.contains(package.as_str()));
    problems.extend(unknown.map(|package| format!("{package}: not in the table")));
    problems
}

/// Whether a manifest takes the workspace's lints.
fn has_workspace_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim);
    lines.any(|line| line == "[lints]") && lines.next() == Some("workspace = true")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The manifests as the table wants them.
    fn as_wanted() -> BTreeMap<String, Edges> {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let edges =
            |row: &Row| Edges { ours: set(row.ours), outside: set(row.outside), dev: set(row.dev) };
        TABLE.iter().map(|row| (row.package.to_owned(), edges(row))).collect()
    }

    #[test]
    fn equal_manifests_are_no_problem() {
        assert_eq!(compare(&as_wanted()), Vec::<String>::new());
    }

    #[test]
    fn a_new_edge_and_a_lost_one_are_found() {
        let mut found = as_wanted();
        let agent = found.get_mut("agent").unwrap();
        agent.ours.insert("orbit".to_owned());
        agent.outside.remove("zenoh");
        let problems = compare(&found);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("agent → orbit: the table does not allow it"));
        assert!(problems[1].starts_with("agent → zenoh: the table has it"));
    }

    #[test]
    fn unknown_packages_are_found() {
        let mut found = as_wanted();
        found.insert("utils".to_owned(), Edges::default());
        assert_eq!(compare(&found), ["utils: not in the table"]);
    }

    #[test]
    fn pure_crates_depend_on_pure_crates() {
        let pure = [
            "types",
            "protocol",
            "body",
            "topology",
            "orbit",
            "placement",
            "belt",
            "queue",
            "accel",
            "mqtt-bridge",
        ];
        for row in TABLE.iter().filter(|row| pure.contains(&row.package)) {
            assert!(row.ours.iter().all(|to| pure.contains(to)), "{row:?}");
            let io = ["tokio", "zenoh", "rustix", "redb", "rand", "getrandom", "axum", "ureq"];
            assert!(!row.outside.iter().any(|to| io.contains(to)), "{row:?}");
        }
    }

    #[test]
    fn the_agent_knows_neither_orbits_nor_placement() {
        let agent = TABLE.iter().find(|row| row.package == "agent").unwrap();
        assert!(!["orbit", "placement"].iter().any(|to| agent.ours.contains(to)));
    }

    #[test]
    fn the_table_is_found_on_a_page() {
        let page = format!("# A\n\n{}\nmore\n", markdown());
        assert_eq!(shown_table(&page), Some(markdown().trim()));
        assert_eq!(shown_table("# A"), None);
    }

    #[test]
    fn lints_of_the_workspace_are_recognized() {
        assert!(has_workspace_lints("[package]\n\n[lints]\nworkspace = true\n"));
        assert!(!has_workspace_lints("[package]\n[lints.rust]\nunsafe_code = \"allow\"\n"));
    }
}
