//! A board that is a folder: sshd, ssh, scp, sh, dpkg, and what our packages do when they come and go are real; systemd, `sudo`,
//! users, and the agent in the package are scripts that note what they are asked, and fail when a file says so.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;

use onboard::adopt::perform::{Errand, Left, ask, perform};
use onboard::adopt::plan::plan;
use onboard::adopt::remove::{self, Removal};
use onboard::adopt::{Joins, Layout, PackageFile, Refusal, Trouble, Wanted};
use onboard::flash::format::InitFormat;
use onboard::flash::seed::{Seed, files};
use onboard::interrupt::Interrupt;
use onboard::node::Node;
use onboard::remote::{Reach, Ssh};
use onboard::sha256_hex;
use protocol::join::Token;
use types::NodeKind;

/// What our packages do when they come and go, as `cargo xtask build` puts it in them.
const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("../../../../cross/packages/scripts/postinst")),
    ("prerm", include_str!("../../../../cross/packages/scripts/prerm")),
    ("postrm", include_str!("../../../../cross/packages/scripts/postrm")),
];
/// What they hold besides the program.
const FILES: [(&str, &str); 2] = [
    (
        "usr/lib/systemd/system/starbelt-agent.service",
        include_str!("../../../../cross/packages/starbelt-agent/starbelt-agent.service"),
    ),
    (
        "usr/lib/sysusers.d/starbelt-agent.conf",
        include_str!("../../../../cross/packages/starbelt-agent/sysusers.conf"),
    ),
];
/// The part of a token that nobody may see.
pub(crate) const SECRET: &str = "00112233445566778899aabbccddeeff";
const SSHD: &str = "/usr/sbin/sshd";

pub(crate) struct Bench {
    dir: tempfile::TempDir,
    pub(crate) port: u16,
    sshd: Mutex<Child>,
    host_key: String,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a test asks for.
pub(crate) struct Asked<'a> {
    pub(crate) package: &'a PackageFile,
    pub(crate) fleet: &'static str,
    pub(crate) token: Option<Token>,
    pub(crate) takes_over: bool,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(package: &'a PackageFile) -> Self {
        Self { package, fleet: "demo", token: Some(token("authority")), takes_over: false }
    }
}

/// Why it was not done.
#[derive(Debug)]
pub(crate) struct NotDone {
    pub(crate) trouble: Trouble,
    pub(crate) step: &'static str,
    pub(crate) words: String,
    pub(crate) left: Option<Left>,
}

impl From<Refusal> for NotDone {
    fn from(refusal: Refusal) -> Self {
        Self { trouble: refusal.trouble, step: "", words: refusal.message, left: None }
    }
}

/// What Debian calls this machine's processor.
pub(crate) fn here() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "armhf",
        other => other,
    }
}

/// A token of the fleet with this authority.
pub(crate) fn token(authority: &str) -> Token {
    let hash = sha256_hex(authority.as_bytes());
    format!("sbj1.pi-1.{}.{SECRET}.{hash}", "0".repeat(16)).parse().unwrap()
}

/// What stands for the certificate of an authority, as `base64` writes it.
pub(crate) fn certificate(authority: &str) -> String {
    let done =
        Command::new("sh").args(["-c", "printf %s \"$0\" | base64", authority]).output().unwrap();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n",
        String::from_utf8(done.stdout).unwrap()
    )
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let done = Command::new(program).args(arguments).output();
    let done = done.map_err(|error| format!("{program} does not start: {error}"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(format!("{program} failed: {}", String::from_utf8_lossy(&done.stderr))),
    }
}

impl Bench {
    /// Starts a board, or says what this machine lacks for one.
    pub(crate) fn new() -> Result<Self, String> {
        for (program, package) in [
            (SSHD, "openssh-server"),
            ("/usr/bin/ssh", "openssh-client"),
            ("/usr/bin/dpkg-deb", "dpkg"),
        ] {
            if !Path::new(program).exists() {
                return Err(format!("{program} is not installed ({package})"));
            }
        }
        if !rustix_is_root() {
            return Err("only root starts a server for all that is needed".to_owned());
        }
        // Where sshd of Debian locks itself up; a system that runs it has this already.
        fs::create_dir_all("/run/sshd").map_err(|error| format!("/run/sshd: {error}"))?;
        let dir = tempfile::Builder::new().prefix("board").tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        for folder in [
            "bin",
            "system/var/lib/dpkg/updates",
            "system/var/lib/dpkg/info",
            "system/var/tmp",
            "system/run/systemd/system",
            "system/usr/bin",
        ] {
            fs::create_dir_all(path(folder)).unwrap();
        }
        fs::write(path("system/var/lib/dpkg/status"), "").unwrap();
        for key in ["host", "other-host", "client"] {
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path(key)])?;
        }
        fs::copy(path("client.pub"), path("authorized_keys")).unwrap();
        tools(dir.path());
        let host_key = fs::read_to_string(path("host.pub")).unwrap();
        let (sshd, port) = start(dir.path())?;
        let bench = Self { dir, port, sshd: Mutex::new(sshd), host_key };
        bench.know(&bench.host_key);
        bench.go_through(port);
        Ok(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn layout(&self) -> Layout {
        Layout::below(&self.path("system").display().to_string())
    }

    /// Has ssh know this key of the board.
    pub(crate) fn know(&self, key: &str) {
        let line = if key.is_empty() { String::new() } else { format!("board {key}") };
        fs::write(self.path("known_hosts"), line).unwrap();
    }

    pub(crate) fn other_host_key(&self) -> String {
        fs::read_to_string(self.path("other-host.pub")).unwrap()
    }

    pub(crate) fn forget_key(&self) {
        fs::write(self.path("authorized_keys"), "").unwrap();
    }

    pub(crate) fn stop(&self) {
        let mut sshd = self.sshd.lock().unwrap();
        sshd.kill().ok();
        sshd.wait().ok();
    }

    /// Has ssh take this port.
    pub(crate) fn go_through(&self, port: u16) {
        let path = |name: &str| self.path(name).display().to_string();
        let config = format!(
            "Host board\nHostName 127.0.0.1\nHostKeyAlias board\nPort {port}\nUser root\nIdentityFile {}\nIdentitiesOnly yes\nIdentityAgent none\n\
             UserKnownHostsFile {}\nGlobalKnownHostsFile /dev/null\nLogLevel ERROR\n",
            path("client"),
            path("known_hosts")
        );
        fs::write(self.path("ssh_config"), config).unwrap();
    }

    /// Builds a package with the agent that is a script, and with `ballast` bytes that do not pack.
    pub(crate) fn package(&self, version: &str, architecture: &str, ballast: usize) -> PackageFile {
        let tree = self.path(&format!("tree-{version}"));
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        fs::create_dir_all(tree.join("usr/bin")).unwrap();
        fs::create_dir_all(tree.join("usr/share/starbelt-agent")).unwrap();
        let control = format!(
            "Package: starbelt-agent\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: Nobody <nobody@example.org>\n\
             Installed-Size: {}\nDescription: agent of a test\n",
            ballast / 1024 + 1
        );
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        script(&tree.join("usr/bin/starbelt-agent"), &AGENT.replace("@VERSION@", version));
        for (name, text) in SCRIPTS {
            let text = text
                .replace("@PACKAGE@", "starbelt-agent")
                .replace("@SERVICE@", "starbelt-agent.service")
                .replace("@CONFIG@", "agent")
                .replace("@STATE@", "starbelt");
            script(&tree.join("DEBIAN").join(name), &text);
        }
        for (at, text) in FILES {
            let at = tree.join(at);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, text).unwrap();
        }
        let mut seed = 88_172_645_463_325_252_u64;
        let noise = std::iter::repeat_with(|| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed.to_le_bytes()
        });
        let noise: Vec<u8> = noise.flatten().take(ballast).collect();
        fs::write(tree.join("usr/share/starbelt-agent/noise"), noise).unwrap();
        let path = self.path(&format!("starbelt-agent_{version}_{architecture}.deb"));
        let (tree, deb) = (tree.display().to_string(), path.display().to_string());
        run("dpkg-deb", &["--root-owner-group", "-Zxz", "-z0", "--build", &tree, &deb]).unwrap();
        let bytes = fs::read(&path).unwrap();
        PackageFile { path, sha256: sha256_hex(&bytes), bytes: bytes.len() as u64 }
    }

    fn ssh(&self) -> Ssh {
        let mut reach = Reach::new("board").unwrap();
        reach.ssh_config = Some(self.path("ssh_config"));
        Ssh::new(reach).unwrap()
    }

    /// Adopts the board as `starbelt adopt` does; answers the steps.
    pub(crate) fn adopt(&self, asked: &Asked<'_>) -> Result<Vec<&'static str>, NotDone> {
        let wanted = Wanted {
            node: self.node(asked.fleet),
            package: asked.package.clone(),
            config: None,
            joins: asked.token.clone().map_or(Joins::Later, Joins::With),
            takes_over: asked.takes_over,
        };
        let (layout, board) = (self.layout(), self.ssh());
        let found = ask(&board, &layout, &layout.identity, Some(&wanted.package))?;
        let steps = plan(&wanted, &found, &layout)?;
        let interrupt = Interrupt::default();
        let errand = Errand {
            package: Some(&wanted.package),
            token: wanted.joins.token(),
            found: &found,
            interrupt: &interrupt,
        };
        let mut told = String::new();
        let done = perform(&board, &steps, &errand, &mut |line| told.push_str(line));
        assert!(!told.contains(SECRET));
        done.map_err(|failed| NotDone {
            trouble: failed.trouble,
            step: failed.step,
            words: failed.to_string(),
            left: Some(failed.left),
        })?;
        Ok(steps.iter().map(|step| step.name).collect())
    }

    pub(crate) fn remove(&self, keeps_state: bool) -> Result<Vec<&'static str>, NotDone> {
        let (layout, board) = (self.layout(), self.ssh());
        let found = ask(&board, &layout, &layout.identity, None)?;
        let fleet = "demo".parse().unwrap();
        let removal = Removal { fleet, name: None, keeps_state, takes_over: false };
        let steps = remove::plan(&removal, &found, &layout)?;
        let interrupt = Interrupt::default();
        let errand = Errand { package: None, token: None, found: &found, interrupt: &interrupt };
        perform(&board, &steps, &errand, &mut |_| {}).unwrap();
        Ok(steps.iter().map(|step| step.name).collect())
    }

    /// Makes a script fail in a way that has this name.
    pub(crate) fn set(&self, fault: &str) {
        fs::write(self.path(fault), "").unwrap();
    }

    pub(crate) fn clear(&self, fault: &str) {
        fs::remove_file(self.path(fault)).unwrap();
    }

    /// What a script has noted.
    pub(crate) fn note(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn note_down(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.path("system").join(path).exists()
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path("system").join(path)).unwrap()
    }

    pub(crate) fn identity(&self) -> String {
        self.read("var/lib/starbelt/identity/ca.pem")
    }

    pub(crate) fn is_active(&self) -> bool {
        self.path("active").exists()
    }

    /// Whether dpkg has found its lock taken.
    pub(crate) fn was_refused(&self) -> bool {
        self.path("was-refused").exists()
    }

    /// What lies where packages are put.
    pub(crate) fn scratch(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("system/var/tmp")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    /// Has the folder for the package be a link that somebody else made.
    pub(crate) fn trap(&self, package: &PackageFile) {
        let elsewhere = self.path("elsewhere");
        fs::create_dir_all(&elsewhere).unwrap();
        std::os::unix::fs::symlink(elsewhere, self.layout().staging(package)).unwrap();
    }

    /// A disk of 1 MiB for packages.
    pub(crate) fn small_scratch(&self) -> Result<Mounted, String> {
        let at = self.path("system/var/tmp").display().to_string();
        run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs", &at])?;
        Ok(Mounted(at))
    }

    /// What is left on the boot partition.
    pub(crate) fn boot_files(&self) -> usize {
        fs::read_dir(self.path("boot")).unwrap().count()
    }

    /// Lays the files of a card out and runs what an image runs at its first start.
    pub(crate) fn first_boot(&self, package: &PackageFile) -> Result<String, String> {
        let (node, token) = (self.node("demo"), token("authority"));
        let package = fs::read(&package.path).unwrap();
        let seed = Seed {
            node: &node,
            config: None,
            package: &package,
            token: Some(&token),
            keys: &[],
            network: None,
        };
        let boot = self.path("boot");
        fs::create_dir_all(&boot).unwrap();
        for file in files(&seed, InitFormat::CloudInit, None).unwrap() {
            if file.path.starts_with("starbelt-") {
                fs::write(boot.join(file.path), file.bytes).unwrap();
            }
        }
        if self.path("damaged").exists() {
            fs::write(self.path("boot/starbelt-agent.deb"), "x").unwrap();
        }
        self.on_board(&self.path("boot/starbelt-first-boot.sh"))
    }

    /// Runs what the service of the first start runs.
    pub(crate) fn join_of_first_boot(&self) -> Result<String, String> {
        self.on_board(&self.path("system/var/lib/starbelt-first-boot/join.sh"))
    }

    /// Runs a script with the programs of the board; answers what it said on stderr.
    fn on_board(&self, script: &Path) -> Result<String, String> {
        let search = format!(
            "{}:{}:/usr/sbin:/usr/bin:/sbin:/bin",
            self.path("bin").display(),
            self.path("system/usr/bin").display()
        );
        let done = Command::new("sh")
            .arg(script)
            .env("PATH", search)
            .env("BENCH", self.dir.path())
            .env("STARBELT_ROOT", self.path("system"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        if done.status.success() { Ok(said) } else { Err(said) }
    }

    fn node(&self, fleet: &str) -> Node {
        Node {
            name: "pi-1".parse().unwrap(),
            fleet: fleet.parse().unwrap(),
            kind: NodeKind::Edge,
            listen: vec![],
            connect: vec!["tls/10.0.0.1:7447".to_owned()],
            join: Some("https://10.0.0.1:7449".to_owned()),
        }
    }

    /// Holds dpkg's lock until dpkg has said that somebody holds it.
    pub(crate) fn hold_lock_until_dpkg_was_refused(&self) -> thread::JoinHandle<()> {
        let lock = File::create(self.path("system/var/lib/dpkg/lock-frontend")).unwrap();
        let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        rustix::fs::fcntl_lock(&lock, exclusive).unwrap();
        let told = self.path("refused");
        run("mkfifo", &[&told.display().to_string()]).unwrap();
        thread::spawn(move || {
            // Opens when the other end does: dpkg was refused.
            fs::read(told).unwrap();
            drop(lock);
        })
    }
}

/// A mount that ends with it.
pub(crate) struct Mounted(String);

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &["-l", &self.0]).ok();
    }
}

fn rustix_is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|said| said.stdout == b"0\n")
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Starts sshd on a port of its own, and waits until it says that it listens.
fn start(dir: &Path) -> Result<(Child, u16), String> {
    let path = |name: &str| dir.join(name).display().to_string();
    // The port may be taken by another in between; then the next one.
    for _ in 0..10 {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let search = format!(
            "{}:{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            path("bin"),
            path("system/usr/bin")
        );
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             Subsystem sftp internal-sftp\nSetEnv BENCH={} PATH={search}\n",
            path("host"),
            path("authorized_keys"),
            dir.display(),
        );
        fs::write(path("sshd_config"), config).unwrap();
        let mut sshd = Command::new(SSHD)
            .args(["-D", "-e", "-f", &path("sshd_config")])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{SSHD}: {error}"))?;
        let mut lines = BufReader::new(sshd.stderr.take().unwrap());
        let mut said = String::new();
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|count| 0 < count) {
            if line.contains("Server listening on") {
                // What it says later is of no interest, but has to be read.
                thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
                return Ok((sshd, port));
            }
            said.push_str(&line);
            line.clear();
        }
        sshd.wait().ok();
        if !said.contains("in use") {
            return Err(format!("sshd does not start: {said}"));
        }
    }
    Err("sshd finds no port".to_owned())
}

/// The agent of the package.
const AGENT: &str = r#"#!/bin/sh
# version @VERSION@
echo "$*" >>"$BENCH/arguments"
identity="$BENCH/system/var/lib/starbelt/identity"
case "$1" in
config)
	if [ -e "$BENCH/bad-config" ]; then echo "agent.toml: bus.connect: no address" >&2; exit 78; fi
	grep -q '^version = 1$' "$4" ;;
join)
	cat >"$BENCH/joined-with"
	if [ -e "$BENCH/away" ]; then echo "starbelt-agent: nobody answers" >&2; exit 4; fi
	if [ -e "$BENCH/deny" ]; then echo "starbelt-agent: this token has expired" >&2; exit 5; fi
	mkdir -p "$identity"
	{
		echo "-----BEGIN CERTIFICATE-----"
		printf %s "$(cat "$BENCH/authority" 2>/dev/null || echo authority)" | base64
		echo "-----END CERTIFICATE-----"
	} >"$identity/ca.pem"
	touch "$identity/node.pem" ;;
run)
	echo "start @VERSION@"
	if [ -e "$BENCH/broken" ] || [ -e "$BENCH/broken-@VERSION@" ]; then echo "no store: disk is read-only"; exit 1; fi ;;
esac
"#;

/// The programs of the board that are not real.
fn tools(dir: &Path) {
    let tools = [
        ("id", r#"if [ "$1" = -u ]; then echo 1000; else exec /usr/bin/id "$@"; fi"#),
        (
            "sudo",
            r#"if [ -e "$BENCH/no-sudo" ]; then echo "sudo: a password is required" >&2; exit 1; fi; [ "$1" = -n ] && shift; exec "$@""#,
        ),
        (
            "df",
            r#"if [ -e "$BENCH/df-lies" ]; then printf 'x\nx 9 9 99999999 1%% /\n'; else exec /usr/bin/df "$@"; fi"#,
        ),
        ("runuser", r#"while [ "$1" != -- ]; do shift; done; shift; exec "$@""#),
        (
            "install",
            r#"set -e; while [ $# -gt 1 ]; do case "$1" in -o|-g|-m) shift 2 ;; *) shift ;; esac; done; mkdir -p "$1""#,
        ),
        (
            "dpkg",
            r#"if [ "$1" = --print-architecture ]; then exec /usr/bin/dpkg "$@"; fi
/usr/bin/dpkg --root="$BENCH/system" --force-not-root --force-script-chrootless --log="$BENCH/dpkg-all.log" "$@" 2>"$BENCH/dpkg-err"
code=$?
cat "$BENCH/dpkg-err" >&2
if [ -p "$BENCH/refused" ] && grep -q 'locked by' "$BENCH/dpkg-err"; then echo >"$BENCH/refused"; rm "$BENCH/refused"; touch "$BENCH/was-refused"; fi
exit $code"#,
        ),
        ("systemd-sysusers", r#"echo "sysusers $*" >>"$BENCH/helpers""#),
        ("deb-systemd-helper", r#"echo "helper $*" >>"$BENCH/helpers""#),
        ("dpkg-query", r#"exec /usr/bin/dpkg-query --admindir="$BENCH/system/var/lib/dpkg" "$@""#),
        (
            "systemctl",
            r#"case "$*" in *starbelt-join*) exit 0 ;; esac
case "$1" in
is-active) if [ -e "$BENCH/active" ]; then echo active; else echo inactive; exit 3; fi ;;
restart|start)
	rm -f "$BENCH/active"
	if starbelt-agent run --config "$BENCH/system/etc/starbelt/agent.toml" >>"$BENCH/journal" 2>&1; then touch "$BENCH/active"
	else echo "Job for starbelt-agent.service failed." >&2; exit 1; fi ;;
stop) rm -f "$BENCH/active" ;;
show) if [ -e "$BENCH/active" ]; then echo ActiveState=active; echo "StatusText=serves; 1 of 1 peers heard"; else echo ActiveState=failed; fi ;;
esac"#,
        ),
        ("journalctl", r#"tail -n 20 "$BENCH/journal""#),
    ];
    for (name, text) in tools {
        script(&dir.join("bin").join(name), &format!("#!/bin/sh\n{text}\n"));
    }
}
