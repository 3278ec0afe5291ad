//! Reads apt's own source lists: which archives this machine takes its packages from.

use std::path::Path;

use anyhow::{Context as _, Result};

/// One archive and suite, as apt is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Options in the one-line form, for example `signed-by=/usr/share/keyrings/x.gpg`.
    pub(crate) options: Vec<String>,
    /// Where the archive is.
    pub(crate) uri: String,
    /// The suite, for example `bookworm` or `bookworm-security`.
    pub(crate) suite: String,
    /// Its components, for example `main`.
    pub(crate) components: Vec<String>,
}

impl Source {
    /// The line of a source list for this, with another suite.
    pub(crate) fn line(&self, suite: &str) -> String {
        let options = match self.options.is_empty() {
            true => String::new(),
            false => format!("[{}] ", self.options.join(" ")),
        };
        format!("deb {options}{} {suite} {}\n", self.uri, self.components.join(" "))
    }
}

/// Reads all source lists below apt's configuration folder.
///
/// # Errors
/// When a list cannot be read.
pub(crate) fn read(etc_apt: &Path) -> Result<Vec<Source>> {
    let mut files = vec![etc_apt.join("sources.list")];
    if let Ok(entries) = std::fs::read_dir(etc_apt.join("sources.list.d")) {
        let mut more: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        more.sort();
        files.extend(more);
    }
    let mut sources = Vec::new();
    for file in files {
        let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let parse = match extension {
            "list" => one_line,
            "sources" => deb822,
            _ => continue,
        };
        if file.is_file() {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            sources.extend(parse(&text));
        }
    }
    Ok(sources)
}

/// Parses the form `deb [options] uri suite components`.
fn one_line(text: &str) -> Vec<Source> {
    let parse = |line: &str| {
        let rest = line.split('#').next()?.trim().strip_prefix("deb")?;
        let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(bracket) => bracket.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace().map(str::to_owned);
        Some(Source {
            options: options.split_whitespace().filter(kept).map(str::to_owned).collect(),
            uri: words.next()?,
            suite: words.next()?,
            components: words.collect(),
        })
    };
    text.lines().filter_map(parse).collect()
}

/// Parses stanzas of `Key: values`, as in `*.sources`.
fn deb822(text: &str) -> Vec<Source> {
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines.split(|line| line.trim().is_empty()).flat_map(stanza).collect()
}

fn stanza(lines: &[&str]) -> Vec<Source> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        match (line.starts_with([' ', '\t']), line.split_once(':'), fields.last_mut()) {
            (true, _, Some((_, value))) => {
                value.push('\n');
                value.push_str(line);
            }
            (false, Some((key, value)), _) => {
                fields.push((key.trim().to_lowercase(), value.trim().to_owned()));
            }
            _ => {}
        }
    }
    let words = |key: &str| -> Vec<String> {
        let found = fields.iter().find(|(name, _)| name == key);
        found.map_or_else(Vec::new, |(_, v)| v.split_whitespace().map(str::to_owned).collect())
    };
    if !words("types").iter().any(|kind| kind == "deb") || words("enabled") == ["no"] {
        return Vec::new();
    }
    // A key that is written into the stanza has spaces and no place in a one-line list; the
    // archive's keys are then expected where apt looks anyway.
    let signed_by = words("signed-by");
    let mut options = Vec::new();
    if let [keyring] = signed_by.as_slice() {
        options.push(format!("signed-by={keyring}"));
    }
    if words("trusted") == ["yes"] {
        options.push(String::from("trusted=yes"));
    }
    let mut sources = Vec::new();
    for uri in words("uris") {
        for suite in words("suites") {
            let (options, components) = (options.clone(), words("components"));
            sources.push(Source { options, uri: uri.clone(), suite, components });
        }
    }
    sources
}

/// Options that say whom to trust; those that choose architectures or languages are ours to set.
fn kept(option: &&str) -> bool {
    ["signed-by=", "trusted="].iter().any(|name| option.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(options: &[&str], suite: &str) -> Source {
        Source {
            options: options.iter().map(|&o| o.to_owned()).collect(),
            uri: "http://mirror.example/debian".to_owned(),
            suite: suite.to_owned(),
            components: vec!["main".to_owned()],
        }
    }

    #[test]
    fn one_line_lists_are_read() {
        let text = "# old\ndeb http://mirror.example/debian bookworm main # why\n\
            deb-src http://mirror.example/debian bookworm main\n\
            deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm-security main\n";
        let expected =
            [source(&[], "bookworm"), source(&["signed-by=/k.gpg"], "bookworm-security")];
        assert_eq!(one_line(text), expected);
    }

    #[test]
    fn stanzas_are_read_and_disabled_ones_are_not() {
        let text = "Types: deb deb-src\n# mirror\nURIs: http://mirror.example/debian\n\
            Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k.gpg\n\n\
            Types: deb\nURIs: http://other.example\nSuites: x\nComponents: y\nEnabled: no\n";
        let key = ["signed-by=/k.gpg"];
        assert_eq!(deb822(text), [source(&key, "bookworm"), source(&key, "bookworm-updates")]);
    }

    #[test]
    fn a_key_inside_a_stanza_is_left_out() {
        let text = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n\
            Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n";
        assert_eq!(deb822(text), [source(&[], "bookworm")]);
    }

    #[test]
    fn a_source_is_written_for_another_suite() {
        let line = source(&["signed-by=/k.gpg"], "bookworm").line("trixie");
        assert_eq!(line, "deb [signed-by=/k.gpg] http://mirror.example/debian trixie main\n");
    }
}
