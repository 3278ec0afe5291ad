//! What a program is made of: every crate with version, licence and checksum, as CycloneDX 1.5.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Product;
use crate::command;
use crate::workspace::Workspace;

/// Between the fields of a line of `cargo tree`.
const FIELD: char = '\t';

/// A crate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    name: String,
    version: String,
    licence: String,
}

/// What a program is made of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts {
    all: BTreeSet<Part>,
    /// By `name version`, whom each needs.
    needs: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Debug, Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// Writes the bill of a program to a file.
///
/// # Errors
/// When cargo cannot say what it is made of.
pub(super) fn write(workspace: &Workspace, product: &Product<'_>, file: &Path) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["tree", "--locked", "--package", &product.package.member]);
    cargo.args(["--edges", "normal,no-proc-macro", "--prefix", "depth"]);
    cargo.args(["--no-default-features", "--target", product.triple, "--format", "\t{p}\t{l}"]);
    if !product.features.is_empty() {
        cargo.args(["--features", &product.features.join(",")]);
    }
    let parts = Parts::parse(&command::output(&mut cargo)?);
    let lock = fs::read_to_string(workspace.path("Cargo.lock")).context("Cargo.lock")?;
    let lock: Lock = toml::from_str(&lock).context("Cargo.lock")?;
    let bill = bill(&parts, &lock, product);
    let text = serde_json::to_string_pretty(&bill)? + "\n";
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

impl Parts {
    /// Reads `cargo tree --prefix depth`; subtrees that were shown before end with a mark.
    fn parse(text: &str) -> Self {
        let mut parts = Self::default();
        // The crates above the line at hand.
        let mut above: Vec<String> = Vec::new();
        for line in text.lines() {
            let mut fields = line.trim_end_matches(" (*)").split(FIELD);
            let depth = fields.next().and_then(|depth| depth.parse::<usize>().ok());
            let mut words = fields.next().unwrap_or_default().split_whitespace();
            let (Some(depth), Some(name), Some(version)) = (depth, words.next(), words.next())
            else {
                continue;
            };
            let version = version.trim_start_matches('v');
            // Of old, alternatives were written with a slash.
            let licence = fields.next().unwrap_or_default().replace('/', " OR ");
            let id = format!("{name} {version}");
            above.truncate(depth);
            if let Some(parent) = above.last() {
                parts.needs.entry(parent.clone()).or_default().insert(id.clone());
            }
            above.push(id);
            let (name, version) = (name.to_owned(), version.to_owned());
            parts.all.insert(Part { name, version, licence });
        }
        parts
    }
}

fn purl(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{version}")
}

fn bill(parts: &Parts, lock: &Lock, product: &Product<'_>) -> Value {
    let own = |part: &Part| part.name == product.package.member;
    let component = |part: &Part| {
        let is_it = |locked: &&Locked| locked.name == part.name && locked.version == part.version;
        let checksum = lock.package.iter().find(is_it).and_then(|it| it.checksum.as_ref());
        let purl = purl(&part.name, &part.version);
        let mut component = json!({
            "type": if own(part) { "application" } else { "library" },
            "bom-ref": purl,
            "name": part.name,
            "version": part.version,
            "purl": purl,
        });
        if !part.licence.is_empty() {
            component["licenses"] = json!([{ "expression": part.licence }]);
        }
        if let Some(checksum) = checksum {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        component
    };
    let reference = |id: &String| {
        let (name, version) = id.split_once(' ').unwrap_or((id, ""));
        purl(name, version)
    };
    let edges = parts.needs.iter().map(|(id, needs)| {
        json!({ "ref": reference(id), "dependsOn": needs.iter().map(reference).collect::<Vec<_>>() })
    });
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": parts.all.iter().find(|part| own(part)).map(component),
            "properties": [
                { "name": "starbelt:package", "value": product.package.name },
                { "name": "starbelt:target", "value": product.triple },
                { "name": "starbelt:features", "value": product.features.join(",") },
                { "name": "starbelt:compiler", "value": product.compiler },
            ],
        },
        "components": parts.all.iter().filter(|part| !own(part)).map(component).collect::<Vec<_>>(),
        "dependencies": edges.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_becomes_parts_and_edges() {
        let text = "0\tagent v0.1.0 (/x/agent)\tApache-2.0\n1\tanyhow v1.0.1\tMIT/Apache-2.0\n\
            1\tserde v1.0.2\tMIT OR Apache-2.0\n2\tserde_core v1.0.2\tMIT\n1\ttokio v1.4.0\tMIT\n2\tserde v1.0.2\tMIT OR Apache-2.0 (*)\n";
        let parts = Parts::parse(text);
        assert_eq!(parts.all.len(), 5);
        assert!(
            parts
                .all
                .iter()
                .any(|part| part.licence == "MIT OR Apache-2.0" && part.name == "anyhow")
        );
        let needs = |of: &str| parts.needs[of].iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(needs("agent 0.1.0"), ["anyhow 1.0.1", "serde 1.0.2", "tokio 1.4.0"]);
        assert_eq!(needs("tokio 1.4.0"), ["serde 1.0.2"]);
    }
}
