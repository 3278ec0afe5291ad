//! Files of the kernel below a root: bounded reads, numbers, and in place of a value the reason why there is none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use protocol::report::NoReading;
use rustix::io::Errno;

/// Bytes of one file at most: an attribute of sysfs has one page, `/proc/meminfo` less than two.
pub const FILE_BYTES_MAX: u64 = 16 * 1024;
/// Entries of one directory at most: a board has a hundred thermal zones, cooling devices and interfaces.
pub const ENTRIES_MAX: usize = 512;
/// Where a recorded tree says which files could not be read, and why: a line `ERRNO path` each.
pub const ERRORS_FILE: &str = "read-errors.txt";
/// Longest text that is quoted in a reason.
const QUOTE_CHARS_MAX: usize = 24;

/// The errors that drivers answer with, by name.
const ERRNOS: [(&str, Errno); 15] = [
    ("ENOENT", Errno::NOENT),
    ("EPERM", Errno::PERM),
    ("EACCES", Errno::ACCESS),
    ("EAGAIN", Errno::AGAIN),
    ("EINVAL", Errno::INVAL),
    ("EBUSY", Errno::BUSY),
    ("ENODATA", Errno::NODATA),
    ("EOPNOTSUPP", Errno::OPNOTSUPP),
    ("ENODEV", Errno::NODEV),
    ("ENXIO", Errno::NXIO),
    ("EIO", Errno::IO),
    ("ETIMEDOUT", Errno::TIMEDOUT),
    ("EREMOTEIO", Errno::REMOTEIO),
    ("ENOTDIR", Errno::NOTDIR),
    ("EFBIG", Errno::FBIG),
];

/// Before the number of an error without a name here.
const OTHER_ERRNO: &str = "errno-";
/// Errors of Linux are below this (`MAX_ERRNO` + 1).
const ERRNO_END: u16 = 4096;

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The file is not there.
    #[error("no such file")]
    Absent,
    /// The file may not be read.
    #[error("not permitted ({}): run as root, or as a member of the group that may read it", errno_name(.0))]
    Denied(Errno),
    /// The driver has the file but not the value.
    #[error("the driver does not support it ({})", errno_name(.0))]
    Unsupported(Errno),
    /// The driver has no value now: the part is asleep or without power.
    #[error("no value now ({}): the part is asleep or without power", errno_name(.0))]
    Asleep(Errno),
    /// The device went away.
    #[error("the device went away ({})", errno_name(.0))]
    Gone(Errno),
    /// Any other error of a read.
    #[error("the read failed ({})", errno_name(.0))]
    Failed(Errno),
    /// The text is no number.
    #[error("{0:?} is not a number")]
    Malformed(String),
    /// The value cannot be true.
    #[error("{text:?} cannot be true: {rule}")]
    Implausible {
        /// What was read.
        text: String,
        /// What holds for such a value.
        rule: &'static str,
    },
    /// There is a value, but it does not mean what it says; or nothing on this board measures it.
    #[error("{0}")]
    Meaningless(&'static str),
}

impl Missing {
    /// A value that cannot be true.
    pub fn implausible(text: &str, rule: &'static str) -> Self {
        Self::Implausible { text: quoted(text), rule }
    }

    /// How reports say it.
    pub const fn reading(&self) -> NoReading {
        match self {
            Self::Absent => NoReading::NoSensor,
            Self::Unsupported(_) | Self::Meaningless(_) => NoReading::NotSupported,
            Self::Denied(_)
            | Self::Asleep(_)
            | Self::Gone(_)
            | Self::Failed(_)
            | Self::Malformed(_)
            | Self::Implausible { .. } => NoReading::ReadFailed,
        }
    }

    /// Whether what was found here is not here any more, and has to be looked for anew.
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Absent | Self::Gone(_))
    }
}

impl From<Errno> for Missing {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR => Self::Absent,
            Errno::PERM | Errno::ACCESS => Self::Denied(errno),
            Errno::NODATA | Errno::OPNOTSUPP => Self::Unsupported(errno),
            Errno::AGAIN | Errno::INVAL | Errno::BUSY => Self::Asleep(errno),
            Errno::NODEV | Errno::NXIO => Self::Gone(errno),
            _ => Self::Failed(errno),
        }
    }
}

/// The name of an error as drivers' sources write it.
pub(super) fn errno_name(errno: &Errno) -> String {
    let name = ERRNOS.iter().find(|(_, known)| known == errno).map(|(name, _)| *name);
    name.map_or_else(|| format!("{OTHER_ERRNO}{}", errno.raw_os_error()), str::to_owned)
}

/// The error of such a name.
fn errno_named(name: &str) -> Option<Errno> {
    if let Some((_, errno)) = ERRNOS.iter().find(|(known, _)| *known == name) {
        return Some(*errno);
    }
    let number: u16 = name.strip_prefix(OTHER_ERRNO)?.parse().ok()?;
    (1..ERRNO_END).contains(&number).then(|| Errno::from_raw_os_error(i32::from(number)))
}

/// What the kernel answered.
pub(super) fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// The start of a text, for a reason.
fn quoted(text: &str) -> String {
    text.chars().take(QUOTE_CHARS_MAX).collect()
}

/// Something with files: a disk, or a test that fails when it is told to.
pub trait Files: Send {
    /// The bytes of the file at an absolute path.
    ///
    /// # Errors
    /// What the kernel answered; `EFBIG` beyond [`FILE_BYTES_MAX`].
    fn read(&self, path: &str) -> Result<Vec<u8>, Errno>;

    /// The names in the directory at an absolute path, in order.
    ///
    /// # Errors
    /// What the kernel answered.
    fn list(&self, path: &str) -> Result<Vec<String>, Errno>;
}

/// The files of this machine, or of a recorded tree.
#[derive(Debug)]
struct Disk {
    root: PathBuf,
    /// Whether all that is read must lie below the root, symbolic links followed: not for the machine itself.
    is_recorded: bool,
    errors: BTreeMap<String, Errno>,
}

impl Disk {
    fn open(root: &Path) -> std::io::Result<Self> {
        let root = root.canonicalize()?;
        let is_recorded = root != Path::new("/");
        let errors =
            if is_recorded { recorded_errors(&root.join(ERRORS_FILE))? } else { BTreeMap::new() };
        Ok(Self { root, is_recorded, errors })
    }

    /// Where a path is on the disk. A recorded tree comes from elsewhere: its links must not lead out of it.
    fn place(&self, path: &str) -> Result<PathBuf, Errno> {
        if let Some(errno) = self.errors.get(path) {
            return Err(*errno);
        }
        let place = self.root.join(path.trim_start_matches('/'));
        if !self.is_recorded {
            return Ok(place);
        }
        let place = place.canonicalize().map_err(|error| errno_of(&error))?;
        if place.starts_with(&self.root) { Ok(place) } else { Err(Errno::ACCESS) }
    }
}

/// The reads that failed when a tree was recorded, by path.
fn recorded_errors(file: &Path) -> std::io::Result<BTreeMap<String, Errno>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let wrong = |line: &str| {
        std::io::Error::other(format!("{}: {line:?} is not `ERRNO path`", file.display()))
    };
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, path) = line.split_once(' ').ok_or_else(|| wrong(line))?;
            let errno = errno_named(name).ok_or_else(|| wrong(line))?;
            Ok((path.to_owned(), errno))
        })
        .collect()
}

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let place = self.place(path)?;
        // A pipe in a recorded tree would wait for ever.
        if self.is_recorded && !place.is_file() {
            return Err(Errno::INVAL);
        }
        let file = File::open(place).map_err(|error| errno_of(&error))?;
        let mut bytes = Vec::new();
        let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| errno_of(&error))?;
        let is_whole = u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_BYTES_MAX);
        if is_whole { Ok(bytes) } else { Err(Errno::FBIG) }
    }

    fn list(&self, path: &str) -> Result<Vec<String>, Errno> {
        let entries = std::fs::read_dir(self.place(path)?).map_err(|error| errno_of(&error))?;
        let mut names = Vec::new();
        for entry in entries.take(ENTRIES_MAX) {
            let name = entry.map_err(|error| errno_of(&error))?.file_name();
            names.extend(name.into_string());
        }
        names.sort_by_key(|name| natural(name));
        Ok(names)
    }
}

/// A name as people order it: `hwmon2` before `hwmon10`.
fn natural(name: &str) -> (String, u64, String) {
    let digits = name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (head, number) = name.split_at(digits);
    (head.to_owned(), number.parse().unwrap_or(0), name.to_owned())
}

/// The files that probes read.
pub struct Tree(Box<dyn Files>);

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tree")
    }
}

impl Tree {
    /// The files below `root`: `/` for this machine, else a recorded tree.
    ///
    /// # Errors
    /// If there is no such directory, or its list of read errors is malformed.
    pub fn below(root: &Path) -> std::io::Result<Self> {
        let disk = Disk::open(root)?;
        if !disk.root.is_dir() {
            return Err(std::io::Error::from(std::io::ErrorKind::NotADirectory));
        }
        Ok(Self(Box::new(disk)))
    }

    /// Files of another kind.
    pub fn of(files: impl Files + 'static) -> Self {
        Self(Box::new(files))
    }

    /// The files themselves, to be wrapped.
    pub fn into_files(self) -> Box<dyn Files> {
        self.0
    }

    /// The text of a file, without white space around it and the zero bytes of device trees.
    ///
    /// # Errors
    /// Why there is none.
    pub fn text(&self, path: &str) -> Result<String, Missing> {
        let bytes = self.0.read(path)?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
    }

    /// The whole number in a file.
    ///
    /// # Errors
    /// Why there is none.
    pub fn number(&self, path: &str) -> Result<f64, Missing> {
        whole(&self.text(path)?)
    }

    /// The names in a directory that begin with `prefix`, `hwmon2` before `hwmon10`.
    ///
    /// # Errors
    /// Why there are none; a directory without such names is none.
    pub fn list(&self, path: &str, prefix: &str) -> Result<Vec<String>, Missing> {
        let mut names = self.0.list(path)?;
        names.retain(|name| name.starts_with(prefix));
        if names.is_empty() { Err(Missing::Absent) } else { Ok(names) }
    }

    /// Whether a file can be read.
    pub fn has(&self, path: &str) -> bool {
        self.0.read(path).is_ok()
    }
}

/// The whole number that a text is; drivers print no other.
pub(super) fn whole(text: &str) -> Result<f64, Missing> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_whole = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    let number = if is_whole { text.parse::<f64>().ok() } else { None };
    number.filter(|number| number.is_finite()).ok_or_else(|| Missing::Malformed(quoted(text)))
}
