//! The secret of a device: 32 bytes that are drawn once and never leave it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use runtime::DeviceSecret;
use rustix::rand::{GetRandomFlags, getrandom};

const BYTES: usize = 32;

/// A secret that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The disk or the system's source of randomness failed.
    #[error("{}: {source}", file.display())]
    Disk {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what an earlier start left.
    #[error("{}: {rule}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// Which rule it breaks, and what to do.
        rule: &'static str,
    },
}

/// The secret in a file, which is made if it is not there.
///
/// # Errors
/// [`SecretError`]; a file that others can read is refused.
pub fn device_secret(file: &Path) -> Result<DeviceSecret, SecretError> {
    let failed = |source| SecretError::Disk { file: file.to_owned(), source };
    match fs::read(file) {
        Ok(bytes) => known(file, &bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => drawn(file).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

fn known(file: &Path, bytes: &[u8]) -> Result<DeviceSecret, SecretError> {
    let invalid = |rule| SecretError::Invalid { file: file.to_owned(), rule };
    let mode = fs::metadata(file).map(|facts| facts.permissions().mode());
    let mode = mode.map_err(|source| SecretError::Disk { file: file.to_owned(), source })?;
    if mode & 0o077 != 0 {
        return Err(invalid(
            "must not be open to others (chmod 600), or be removed to draw another",
        ));
    }
    match bytes.try_into() {
        Ok(bytes) => Ok(DeviceSecret::new(bytes)),
        Err(_wrong_length) => Err(invalid("must have 32 bytes; remove it to draw another")),
    }
}

/// Draws a secret, and has it on disk before it is used: written aside, then renamed.
fn drawn(file: &Path) -> io::Result<DeviceSecret> {
    let mut bytes = [0; BYTES];
    // Up to 256 bytes come whole.
    getrandom(&mut bytes[..], GetRandomFlags::empty())?;
    let aside = file.with_extension("part");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut out = options.open(&aside)?;
    out.write_all(&bytes).and_then(|()| out.sync_all())?;
    fs::rename(&aside, file)?;
    Ok(DeviceSecret::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_drawn_once_and_open_to_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("code.secret");
        device_secret(&file).unwrap();
        let first = fs::read(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        device_secret(&file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), first);
        assert!(first.len() == BYTES && first.iter().any(|byte| *byte != first[0]));
    }

    #[test]
    fn what_others_can_read_or_is_cut_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("code.secret");
        device_secret(&file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let open = device_secret(&file).unwrap_err().to_string();
        assert!(open.contains("code.secret: must not be open to others (chmod 600)"), "{open}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, "short").unwrap();
        assert!(device_secret(&file).unwrap_err().to_string().contains("must have 32 bytes"));
    }
}
