//! Becoming another program, in the same process.
//!
//! By `execve` itself: [`std::os::unix::process::CommandExt::exec`] is libc's `execvp`, which has a shell read a file that the kernel does not take
//! for a program, and a shell does things with any bytes.

use std::convert::Infallible;
use std::ffi::{CString, NulError, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use nix::unistd::execve;

/// Becomes a program, with the arguments of this one and its environment, in which one variable has a value or is absent. Comes back only when
/// the system refuses, with what it says.
pub(super) fn exec(path: &Path, (variable, value): (&str, Option<String>)) -> io::Error {
    let arguments = std::env::args_os().skip(1).map(OsString::into_vec);
    let arguments = std::iter::once(path.as_os_str().as_bytes().to_vec()).chain(arguments);
    let kept = std::env::vars_os().filter(|(name, _)| name != OsStr::new(variable));
    let set = value.map(|value| (OsString::from(variable), OsString::from(value)));
    let environment = kept.chain(set).map(|(name, value)| [name, value].join(OsStr::new("=")));
    let Err(error) = try_exec(path, arguments, environment.map(OsString::into_vec));
    error
}

fn try_exec(
    path: &Path,
    arguments: impl Iterator<Item = Vec<u8>>,
    environment: impl Iterator<Item = Vec<u8>>,
) -> io::Result<Infallible> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let arguments = arguments.map(CString::new).collect::<Result<Vec<_>, NulError>>()?;
    let environment = environment.map(CString::new).collect::<Result<Vec<_>, NulError>>()?;
    Ok(execve(&path, &arguments, &environment)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_the_kernel_takes_for_no_program_reaches_no_shell() {
        let dir = tempfile::tempdir().unwrap();
        let (program, trace) = (dir.path().join("program"), dir.path().join("trace"));
        // A shell would run this: it has no `#!`, so that the kernel refuses it.
        fs::write(&program, format!(": > {}\nexit 0\n", trace.display())).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
        let error = exec(&program, ("STARBELT_LIFE", Some("{}".to_owned())));
        assert_eq!(error.raw_os_error(), Some(nix::errno::Errno::ENOEXEC as i32));
        assert!(!trace.exists());
    }

    #[test]
    fn a_path_that_no_file_can_have_is_an_error() {
        let error = exec(Path::new("a\0b"), ("STARBELT_LIFE", None));
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
