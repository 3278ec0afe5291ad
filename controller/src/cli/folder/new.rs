//! `starbelt fn new`.

use std::fs;
use std::io;
use std::path::Path;

use clap::Args;
use types::FunctionId;

use super::MANIFEST;
use super::template::{self, File, Language};
use crate::cli::{CliError, Format, Printed};
use crate::exit_code;

/// What is to be made.
#[derive(Debug, Args)]
pub(in crate::cli) struct New {
    /// Its name, and that of its folder.
    name: FunctionId,
    /// What it is written in.
    #[arg(long, value_enum, default_value_t)]
    lang: Language,
}

/// Makes a folder with a function in it, or nothing.
pub(in crate::cli) fn new(format: Format, asked: &New) -> Result<Printed, CliError> {
    let name = &asked.name;
    let files = template::files(name, asked.lang);
    write_new(Path::new(name.as_str()), &files)?;
    if format == Format::Json {
        let paths: Vec<_> = files.iter().map(|(path, _)| path).collect();
        let made = serde_json::json!({ "name": name, "folder": name, "files": paths });
        return Ok(format!("{made}\n").into());
    }
    let (source, made) = (source(&files), asked.lang.made());
    Ok(format!(
        "made {name}/, {made}: its source is {name}/{source}\n\
         next: starbelt fn build {name}\n"
    )
    .into())
}

/// What its author changes: a source, a model, or what is said of a kernel.
fn source(files: &[File]) -> &str {
    let is_source = |path: &str| path.starts_with("src/") || path.ends_with(".onnx");
    files.iter().find(|(path, _)| is_source(path)).map_or(MANIFEST, |(path, _)| path)
}

/// Writes files into a folder that is not there yet. If one cannot be written, nothing stays.
fn write_new(folder: &Path, files: &[File]) -> Result<(), CliError> {
    // The system refuses what is there, whatever it is, in the same step in which it makes what is not.
    fs::create_dir(folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let rule = "it is there already, and nothing in it was changed; choose another name, or move it away";
            CliError::new(exit_code::CONFLICT, format!("{}: {rule}", folder.display()))
        }
        _ => unwritable(folder, &error),
    })?;
    let written = files.iter().try_for_each(|(path, bytes)| {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        let made = fs::create_dir_all(parent).and_then(|()| fs::write(&path, bytes));
        made.map_err(|error| unwritable(&path, &error))
    });
    written.map_err(|mut error| {
        // This one made it, so what is in it is its own.
        if let Err(left) = fs::remove_dir_all(folder) {
            error.message = format!("{}; {} is left over: {left}", error.message, folder.display());
        }
        error
    })
}

fn unwritable(path: &Path, error: &io::Error) -> CliError {
    CliError::new(exit_code::FAILURE, format!("{} cannot be made: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("f");
        let files = [("a", Vec::new()), ("a/b", Vec::new())];
        let error = write_new(&folder, &files).unwrap_err();
        assert_eq!(error.code, exit_code::FAILURE);
        assert!(
            error.message.contains("f/a/b cannot be made") || error.message.contains("f/a cannot"),
            "{error}"
        );
        assert!(!folder.exists());
    }

    #[test]
    fn what_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (file, empty) = (dir.path().join("file"), dir.path().join("empty"));
        let link = dir.path().join("link");
        fs::write(&file, "mine").unwrap();
        fs::create_dir(&empty).unwrap();
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        for there in [&file, &empty, &link] {
            let error = write_new(there, &[("a", Vec::new())]).unwrap_err();
            assert_eq!(error.code, exit_code::CONFLICT, "{error}");
        }
        assert_eq!(fs::read(&file).unwrap(), b"mine");
        assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
        assert_eq!(fs::read_link(&link).unwrap(), PathBuf::from("nowhere"));
    }
}
