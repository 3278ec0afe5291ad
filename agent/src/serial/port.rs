//! Finds a serial device and opens it raw: bytes go through as they are, whatever the line was used for before.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::termios::{
    ControlModes, OptionalActions, QueueSelector, SpecialCodeIndex, ioctl_tiocexcl, isatty,
    tcflush, tcgetattr, tcsetattr,
};
use tokio::io::unix::AsyncFd;

/// Why a device is not open.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Nothing is plugged in.
    #[error("{0} is not there")]
    Missing(String),
    /// The pattern fits several devices.
    #[error(
        "{pattern} fits {count} devices, the first two are {first} and {second}: it has to fit one"
    )]
    Ambiguous {
        /// The pattern.
        pattern: String,
        /// How many there are.
        count: usize,
        /// The first, by name.
        first: String,
        /// The second.
        second: String,
    },
    /// It cannot be opened or set.
    #[error("{path}: {what}: {source}")]
    Unusable {
        /// Which.
        path: String,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no serial line.
    #[error("{0} is no serial line")]
    NoLine(String),
}

/// The device that a path stands for, in whose last part `*` stands for any letters.
///
/// # Errors
/// [`PortError::Missing`] or [`PortError::Ambiguous`].
pub fn find(pattern: &Path) -> Result<PathBuf, PortError> {
    let shown = pattern.display().to_string();
    let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.contains('*') {
        // A link of udev may be left without its device.
        return match pattern.exists() {
            true => Ok(pattern.to_owned()),
            false => Err(PortError::Missing(shown)),
        };
    }
    let folder = pattern.parent().unwrap_or_else(|| Path::new("/"));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let fits = |path: &PathBuf| {
        let found = path.file_name().and_then(|found| found.to_str());
        found.is_some_and(|found| matches(name, found)) && path.exists()
    };
    let mut found: Vec<_> = entries.map(|entry| entry.path()).filter(fits).collect();
    found.sort();
    match found.as_slice() {
        [] => Err(PortError::Missing(shown)),
        [only] => Ok(only.clone()),
        [first, second, ..] => Err(PortError::Ambiguous {
            pattern: shown,
            count: found.len(),
            first: first.display().to_string(),
            second: second.display().to_string(),
        }),
    }
}

/// Whether a name fits a pattern, in which `*` stands for any letters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        // The first place is the one that leaves most.
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

/// Opens a device: raw, 8 data bits, no parity, one stop bit, no flow control, for nobody else, without waiting for a carrier.
///
/// # Errors
/// [`PortError::Unusable`] or [`PortError::NoLine`].
pub fn open(path: &Path, baud: u32) -> Result<OwnedFd, PortError> {
    let shown = || path.display().to_string();
    let unusable = |what: &'static str| {
        move |error: rustix::io::Errno| PortError::Unusable {
            path: path.display().to_string(),
            what,
            source: error.into(),
        }
    };
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(unusable("cannot be opened"))?;
    if !isatty(&fd) {
        return Err(PortError::NoLine(shown()));
    }
    ioctl_tiocexcl(&fd).map_err(unusable("cannot be kept from others"))?;
    let mut line = tcgetattr(&fd).map_err(unusable("cannot be asked for its settings"))?;
    line.make_raw();
    line.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
    // A board restarts when the control lines fall, on some: they stay as they are when the line is closed.
    line.control_modes -= ControlModes::HUPCL | ControlModes::CRTSCTS | ControlModes::CSTOPB;
    // Else a read says 0 where nothing has come, as at the end.
    line.special_codes[SpecialCodeIndex::VMIN] = 1;
    line.special_codes[SpecialCodeIndex::VTIME] = 0;
    line.set_speed(baud).map_err(unusable("does not know this rate"))?;
    tcsetattr(&fd, OptionalActions::Now, &line).map_err(unusable("cannot be set"))?;
    // What came before was for somebody else.
    tcflush(&fd, QueueSelector::IOFlush).map_err(unusable("cannot be cleared"))?;
    Ok(fd)
}

/// Has the event loop watch a descriptor until it is dropped.
///
/// # Errors
/// What the system says.
pub(crate) fn watched(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    #[expect(
        unsafe_code,
        reason = "the safe constructor is deprecated for descriptors that others may close"
    )]
    // SAFETY: the descriptor is owned, so that it is open and the same until the registration has ended, which takes it back first.
    let registered = unsafe { AsyncFd::register(fd) };
    registered.map_err(|error| error.into_parts().1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, name, expected) in [
            ("usb-Starbelt_*", "usb-Starbelt_Power_E660-if00", true),
            ("usb-*_E660*-if00", "usb-Starbelt_Power_E660-if00", true),
            ("*", "ttyACM0", true),
            ("tty*0", "ttyACM10", true),
            ("tty*0", "ttyACM01", false),
            ("ttyACM0", "ttyACM01", false),
            ("a*a", "a", false),
            ("a*b*c", "abab", false),
            ("*b*b*", "ab", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_missing_or_fits_twice_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let missing = find(&at("board-*")).unwrap_err().to_string();
        assert!(missing.ends_with("board-* is not there"), "{missing}");
        fs::write(at("board-1"), "").unwrap();
        assert_eq!(find(&at("board-*")).unwrap(), at("board-1"));
        // A link whose device was pulled is not there.
        std::os::unix::fs::symlink(at("gone"), at("board-2")).unwrap();
        assert_eq!(find(&at("board-*")).unwrap(), at("board-1"));
        assert!(matches!(find(&at("board-2")), Err(PortError::Missing(_))));
        fs::write(at("board-3"), "").unwrap();
        let twice = find(&at("board-*")).unwrap_err().to_string();
        assert!(twice.contains("fits 2 devices"), "{twice}");
        let file = open(&at("board-1"), 115_200).unwrap_err().to_string();
        assert!(file.ends_with("board-1 is no serial line"), "{file}");
    }
}
