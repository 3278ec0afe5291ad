//! A board over the system's `ssh` and `scp`: their configuration, keys and known hosts are what people look after already.
//!
//! No password is asked for or sent, an unknown or changed host key ends it, all commands share one connection, and each
//! has its time. Secrets go through stdin; what is said by the board is read up to a bound.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::adopt::perform::{Remote, RemoteError, Said};
use crate::adopt::{PackageFile, Trouble};
use crate::shell::line;

/// Most that is kept of what a command says, bytes; more is read and dropped.
const SAID_BYTES_MAX: usize = 1 << 20;
/// What `ssh` ends with when the trouble is its own.
const SSH_TROUBLE: i32 = 255;
/// How long `ssh` may take to end the connection.
const GOODBYE: Duration = Duration::from_secs(10);
/// What holds for each connection.
const OPTIONS: [&str; 12] = [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "RequestTTY=no",
    "ControlMaster=auto",
    "ControlPersist=60",
];

/// How a board is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// `host` or `user@host`, as ssh takes it.
    pub destination: String,
    /// A port other than that of ssh's configuration.
    pub port: Option<u16>,
    /// A key other than those of ssh's configuration.
    pub key: Option<PathBuf>,
    /// Another configuration of ssh.
    pub ssh_config: Option<PathBuf>,
}

impl Reach {
    /// Takes a destination.
    ///
    /// # Errors
    /// In words, when it is none: ssh would take it for an option, or a shell for more than a word.
    pub fn new(destination: &str) -> Result<Self, String> {
        let is_good = |c: char| c.is_ascii_alphanumeric() || "._-:%[]@".contains(c);
        let host = destination.rsplit_once('@').map_or(destination, |(_, host)| host);
        let user = destination.rsplit_once('@').map(|(user, _)| user);
        let is_empty = host.is_empty() || user.is_some_and(str::is_empty);
        if is_empty
            || destination.starts_with('-')
            || host.starts_with('-')
            || !destination.chars().all(is_good)
        {
            return Err(format!("{destination:?} is no board; say HOST or USER@HOST, as for ssh"));
        }
        Ok(Self { destination: destination.to_owned(), port: None, key: None, ssh_config: None })
    }

    /// A path on the board, as `scp` wants it.
    pub fn target(&self, path: &str) -> String {
        let (user, host) = match self.destination.rsplit_once('@') {
            Some((user, host)) => (format!("{user}@"), host),
            None => (String::new(), &self.destination[..]),
        };
        match host.contains(':') && !host.starts_with('[') {
            true => format!("{user}[{host}]:{path}"),
            false => format!("{user}{host}:{path}"),
        }
    }

    fn options(&self, port_flag: &str, control: &Path) -> Vec<OsString> {
        let mut options: Vec<OsString> = Vec::new();
        let mut add = |flag: &str, value: OsString| options.extend([OsString::from(flag), value]);
        if let Some(config) = &self.ssh_config {
            add("-F", config.into());
        }
        if let Some(port) = self.port {
            add(port_flag, port.to_string().into());
        }
        if let Some(key) = &self.key {
            add("-i", key.into());
        }
        for option in OPTIONS {
            add("-o", option.into());
        }
        let mut path = OsString::from("ControlPath=");
        path.push(control);
        add("-o", path);
        options
    }
}

/// An open way to a board. Dropped, it closes the connection.
#[derive(Debug)]
pub struct Ssh {
    reach: Reach,
    folder: PathBuf,
}

impl Ssh {
    /// Prepares; nothing is sent yet.
    ///
    /// # Errors
    /// When there is no folder for the socket that commands share.
    pub fn new(reach: Reach) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        // A socket's path has 107 bytes at most.
        let base = runtime.filter(|dir| dir.is_dir() && dir.as_os_str().len() < 60);
        let base = base.unwrap_or_else(|| PathBuf::from("/tmp"));
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = base.join(format!("starbelt-ssh-{}-{count}", std::process::id()));
        // One that is there already is somebody else's, or of a process with this number that was killed.
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", folder.display()))
        })?;
        Ok(Self { reach, folder })
    }

    fn control(&self) -> PathBuf {
        self.folder.join("s")
    }

    /// `ssh` up to the command.
    fn ssh(&self) -> Vec<OsString> {
        let mut words = vec![OsString::from("ssh")];
        words.extend(self.reach.options("-p", &self.control()));
        words.extend(["--".into(), OsString::from(&self.reach.destination)]);
        words
    }

    /// `scp` up to where the package goes.
    fn scp(&self, package: &Path) -> Vec<OsString> {
        let mut words = vec![OsString::from("scp"), "-q".into()];
        words.extend(self.reach.options("-P", &self.control()));
        words.extend(["--".into(), package.into()]);
        words
    }

    /// What stands before each command, as a person would type it.
    pub fn ssh_line(&self) -> String {
        shown(&self.ssh())
    }

    /// What stands before where the package goes.
    pub fn scp_line(&self, package: &Path) -> String {
        shown(&self.scp(package))
    }

    /// How it is reached.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    fn ask(
        &self,
        words: &[OsString],
        stdin: &[u8],
        patience: Duration,
    ) -> Result<Said, RemoteError> {
        let said = run(words, stdin, patience)?;
        if said.code != SSH_TROUBLE {
            return Ok(said);
        }
        Err(trouble(&self.reach.destination, &said.err))
    }
}

impl Remote for Ssh {
    fn run(&self, command: &str, stdin: &[u8], patience: Duration) -> Result<Said, RemoteError> {
        let mut words = self.ssh();
        words.push(command.into());
        self.ask(&words, stdin, patience)
    }

    fn copy(&self, package: &PackageFile, to: &str, patience: Duration) -> Result<(), RemoteError> {
        let mut words = self.scp(&package.path);
        words.push(self.reach.target(to).into());
        let said = self.ask(&words, b"", patience)?;
        if said.code == 0 {
            return Ok(());
        }
        // scp ends with 1 also when the connection is lost.
        let is_lost = ["onnection", "broken pipe", "roken pipe", "lost"];
        if is_lost.iter().any(|word| said.err.contains(word)) {
            return Err(trouble(&self.reach.destination, &said.err));
        }
        let message = format!("the package does not get onto the board: {}", said.err.trim());
        Err(RemoteError { trouble: Trouble::Failure, message })
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        if self.control().exists() {
            let mut words = vec![OsString::from("ssh")];
            words.extend(self.reach.options("-p", &self.control()));
            words.extend(["-O".into(), "exit".into(), "--".into()]);
            words.push(OsString::from(&self.reach.destination));
            // It ends by itself a minute later otherwise.
            run(&words, b"", GOODBYE).ok();
        }
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn shown(words: &[OsString]) -> String {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    line(words.iter().map(AsRef::as_ref))
}

/// What ssh means by what it says.
fn trouble(board: &str, err: &str) -> RemoteError {
    let text = err.trim();
    let (trouble, rule) = if text.contains("HOST IDENTIFICATION HAS CHANGED") {
        let rule = "its host key is another one than before: it was set up anew, or somebody stands between. If it was, ssh-keygen -R HOST and try again";
        (Trouble::Denied, rule)
    } else if text.contains("Host key verification failed") || text.contains("host key is known") {
        let rule = "its host key is not known here: log in once with ssh and compare the fingerprint with the one on its console";
        (Trouble::Denied, rule)
    } else if text.contains("Permission denied") {
        let rule = "it takes none of our keys, and passwords are not used: ssh-copy-id USER@HOST";
        (Trouble::Denied, rule)
    } else {
        (Trouble::Unreachable, "is it on, and is the address right?")
    };
    let last = text.lines().last().unwrap_or("ssh said nothing").trim_end();
    RemoteError { trouble, message: format!("{board}: {last} ({rule})") }
}

/// Runs a program to its end, or ends it after its time.
fn run(words: &[OsString], stdin: &[u8], patience: Duration) -> Result<Said, RemoteError> {
    let failure = |message: String| RemoteError { trouble: Trouble::Failure, message };
    let Some((program, arguments)) = words.split_first() else {
        return Err(failure("nothing to run".to_owned()));
    };
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let name = program.to_string_lossy().into_owned();
    let spawned = command.spawn();
    let mut child = spawned.map_err(|error| {
        failure(format!(
            "{name} cannot be started: {error} (Debian, Ubuntu: apt-get install openssh-client)"
        ))
    })?;
    let said = attend(&mut child, stdin, patience);
    let (out, err) = match said {
        Some(said) => said,
        None => {
            child.kill().ok();
            child.wait().ok();
            let message = format!("no end after {} s", patience.as_secs());
            return Err(RemoteError { trouble: Trouble::Unreachable, message });
        }
    };
    let status = child.wait().map_err(|error| failure(format!("{name}: {error}")))?;
    Ok(Said { code: status.code().unwrap_or(SSH_TROUBLE), out, err })
}

/// Feeds and reads a child until it has closed both; `None` when that takes too long.
fn attend(child: &mut Child, stdin: &[u8], patience: Duration) -> Option<(String, String)> {
    let end = Instant::now() + patience;
    let (sender, receiver) = mpsc::channel();
    if let Some(mut pipe) = child.stdin.take() {
        let bytes = stdin.to_vec();
        // A child that does not want to read all has its reasons, and says them.
        thread::spawn(move || pipe.write_all(&bytes).ok());
    }
    let out = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    let err = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    let mut open = 0;
    for (which, pipe) in [(0, out), (1, err)] {
        let Some(pipe) = pipe else { continue };
        open += 1;
        let sender = sender.clone();
        thread::spawn(move || sender.send((which, read_bounded(pipe))).ok());
    }
    let mut said = (String::new(), String::new());
    while 0 < open {
        let left = end.saturating_duration_since(Instant::now());
        let (which, text) = receiver.recv_timeout(left).ok()?;
        match which {
            0 => said.0 = text,
            _ => said.1 = text,
        }
        open -= 1;
    }
    Some(said)
}

fn read_bounded(mut pipe: impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        let room = SAID_BYTES_MAX - kept.len();
        kept.extend(buffer.iter().take(count.min(room)));
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_never_an_option_and_an_address_with_colons_is_one() {
        for bad in ["", "-oProxyCommand=x", "pi@", "@host", "pi@-x", "a b", "h;reboot", "$(x)"] {
            assert!(Reach::new(bad).is_err(), "{bad}");
        }
        let target = |destination: &str| Reach::new(destination).unwrap().target("/var/tmp/x");
        assert_eq!(target("pi@10.0.0.7"), "pi@10.0.0.7:/var/tmp/x");
        assert_eq!(target("pi@fe80::1%eth0"), "pi@[fe80::1%eth0]:/var/tmp/x");
        assert_eq!(target("board"), "board:/var/tmp/x");
    }

    #[test]
    fn what_ssh_says_becomes_what_to_do() {
        for (said, kind, word) in [
            ("x\nHost key verification failed.", Trouble::Denied, "fingerprint"),
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                Trouble::Denied,
                "ssh-keygen -R",
            ),
            ("pi@b: Permission denied (publickey).", Trouble::Denied, "ssh-copy-id"),
            ("ssh: connect to host b port 22: No route to host", Trouble::Unreachable, "No route"),
        ] {
            let error = trouble("pi@b", said);
            assert!(error.trouble == kind && error.message.contains(word), "{error:?}");
        }
    }

    #[test]
    fn a_command_has_its_time_and_much_talk_is_cut() {
        let words = |script: &str| ["sh", "-c", script].map(OsString::from);
        let long = Duration::from_secs(60);
        let said = run(&words("cat; echo b >&2; exit 3"), b"a", long).unwrap();
        assert_eq!(said, Said { code: 3, out: "a".to_owned(), err: "b\n".to_owned() });
        let talk = run(&words("head -c 3000000 /dev/zero"), b"", long).unwrap();
        assert_eq!(talk.out.len(), SAID_BYTES_MAX);
        // `exec`, so that what is ended is what holds the pipes.
        let error = run(&words("exec sleep 600"), b"", Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.trouble, Trouble::Unreachable);
        // Whoever does not read what they are sent gets no further.
        let much = vec![b'x'; 1 << 20];
        assert_eq!(run(&words("exit 0"), &much, long).unwrap().code, 0);
    }
}
