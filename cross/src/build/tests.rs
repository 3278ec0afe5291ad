//! Packages made of a stand-in for the program: what is in them, and what becomes of a system that they come to and go from.

use super::*;
use crate::workspace::root_of_tests;

/// Newer systemd knows them; older ones say that they do not.
const NEW_KEYS: [&str; 2] = ["RestartSteps", "RestartMaxDelaySec"];

/// Packages in a folder of their own.
struct Bed {
    folder: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("dist")).unwrap();
        Self { folder }
    }

    fn path(&self, at: &str) -> PathBuf {
        self.folder.path().join(at)
    }

    /// Makes a package of a version; its program is a script.
    fn deb(&self, name: &str, version: &str) -> PathBuf {
        let root = root_of_tests();
        let package = Package::load(&root, name).unwrap();
        let mut depends = vec![String::from("libc6 (>= 2.31)")];
        depends.extend(package.depends.iter().cloned());
        let (version, architecture) = (version.to_owned(), String::from("arm64"));
        let label = Label { version, architecture, depends, committed: 1_767_225_600 };
        let program = self.path("program");
        fs::write(&program, "#!/bin/sh\nexit 0\n").unwrap();
        let staged = Staged::new(&root, &package, &label, &program, &self.path("scratch")).unwrap();
        staged.tarball(&self.path("dist")).unwrap();
        staged.deb(&self.path("dist")).unwrap()
    }
}

/// Whether a test can run that needs these programs; says why not.
fn have(test: &str, programs: &[&str]) -> bool {
    let missing: Vec<_> =
        programs.iter().filter(|program| !command::is_installed(program)).copied().collect();
    if !missing.is_empty() {
        eprintln!("skipped: {test}: not installed: {}", missing.join(", "));
    }
    missing.is_empty()
}

fn said(program: &str, args: &[&str], file: &Path) -> String {
    command::output(Command::new(program).args(args).arg(file)).unwrap()
}

#[test]
fn a_package_holds_what_its_file_says() {
    if !have("a_package_holds_what_its_file_says", &["dpkg-deb", "xz"]) {
        return;
    }
    let bed = Bed::new();
    let deb = bed.deb("starbelt-agent", "0.1.0");
    assert_eq!(deb.file_name().unwrap(), "starbelt-agent_0.1.0_arm64.deb");
    let list = said("dpkg-deb", &["--contents"], &deb);
    let line = |end: &str| {
        list.lines()
            .find(|line| line.ends_with(end))
            .unwrap_or_else(|| panic!("no {end} in\n{list}"))
    };
    for (file, mode) in [
        (" ./usr/bin/starbelt-agent", "-rwxr-xr-x root/root"),
        (" ./usr/lib/systemd/system/starbelt-agent.service", "-rw-r--r-- root/root"),
        (" ./usr/lib/sysusers.d/starbelt-agent.conf", "-rw-r--r-- root/root"),
        (" ./usr/share/doc/starbelt-agent/examples/agent.toml", "-rw-r--r-- root/root"),
        (" ./usr/share/doc/starbelt-agent/copyright", "-rw-r--r-- root/root"),
        (" ./usr/share/doc/starbelt-agent/changelog.gz", "-rw-r--r-- root/root"),
        (" ./usr/", "drwxr-xr-x root/root"),
    ] {
        assert!(line(file).starts_with(mode), "{}", line(file));
    }
    // Nothing that a purge would have to guess: configuration and state are made on the system.
    assert!(!list.contains("./etc/") && !list.contains("./var/"), "{list}");
    let control = said("dpkg-deb", &["--info"], &deb);
    for part in [
        "Package: starbelt-agent\n",
        "Version: 0.1.0\n",
        "Architecture: arm64\n",
        "Depends: libc6 (>= 2.31), systemd | systemd-standalone-sysusers | systemd-sysusers\n",
        "Description: agent of a Starbelt node",
        "postinst",
        "prerm",
        "postrm",
        "md5sums",
    ] {
        assert!(control.contains(part), "no {part} in\n{control}");
    }
}

#[test]
fn the_command_line_has_no_service_and_no_scripts() {
    if !have("the_command_line_has_no_service_and_no_scripts", &["dpkg-deb", "xz"]) {
        return;
    }
    let deb = Bed::new().deb_and_keep("starbelt");
    let control = said("dpkg-deb", &["--info"], &deb.1);
    assert!(!control.contains("postinst"), "{control}");
    let list = said("dpkg-deb", &["--contents"], &deb.1);
    assert!(list.contains("./usr/bin/starbelt\n") && !list.contains("systemd"), "{list}");
}

impl Bed {
    fn deb_and_keep(self, name: &str) -> (Self, PathBuf) {
        let deb = self.deb(name, "0.1.0");
        (self, deb)
    }
}

#[test]
fn the_same_sources_give_the_same_bytes() {
    if !have("the_same_sources_give_the_same_bytes", &["dpkg-deb", "xz"]) {
        return;
    }
    let all = |bed: &Bed| {
        bed.deb("starbelt-controller", "0.1.0");
        let names =
            [".deb", ".tar.gz"].map(|end| format!("dist/starbelt-controller_0.1.0_arm64{end}"));
        names.map(|name| fs::read(bed.path(&name)).unwrap())
    };
    assert!(all(&Bed::new()) == all(&Bed::new()), "two builds differ");
}

/// A system without anything: folders that dpkg needs.
fn system(bed: &Bed) -> PathBuf {
    let root = bed.path("root");
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "etc"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    root
}

/// dpkg on that system: its scripts run here, and are told where the system is.
fn dpkg(root: &Path, args: &[&str]) -> Command {
    let mut dpkg = Command::new("dpkg");
    dpkg.arg(format!("--root={}", root.display()));
    dpkg.args(["--force-script-chrootless", "--force-depends", "--force-architecture"]);
    dpkg.arg(format!("--log={}", root.join("dpkg.log").display())).args(args);
    dpkg
}

#[test]
fn a_service_comes_is_upgraded_and_goes() {
    let test = "a_service_comes_is_upgraded_and_goes";
    let programs = ["dpkg", "dpkg-deb", "xz", "systemd-sysusers", "deb-systemd-helper"];
    if !have(test, &programs) {
        return;
    }
    let id = command::output(Command::new("id").arg("-u")).unwrap();
    if id.trim() != "0" {
        eprintln!("skipped: {test}: dpkg installs for root only");
        return;
    }
    let bed = Bed::new();
    let root = system(&bed);
    let (old, new) = (bed.deb("starbelt-agent", "0.1.0"), bed.deb("starbelt-agent", "0.1.1"));
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    let run = |args: &[&str]| command::output(&mut dpkg(&root, args)).unwrap();
    let read = |at: &str| fs::read_to_string(root.join(at)).unwrap();
    let enabled = root.join("etc/systemd/system/multi-user.target.wants/starbelt-agent.service");

    let told = run(&["--install", old]);
    assert!(told.contains("write /etc/starbelt/agent.toml"), "{told}");
    assert!(enabled.is_symlink(), "the service is not enabled");
    let user = "starbelt:x:";
    assert!(read("etc/passwd").contains(user) && read("etc/passwd").contains("/usr/sbin/nologin"));
    let group = read("etc/group");
    for name in ["dialout", "i2c", "render", "video"] {
        let line = group.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        assert!(line.ends_with(":starbelt"), "{line}");
    }

    // What an operator and the agent made, and what the operator chose.
    fs::create_dir_all(root.join("etc/starbelt/agent.d")).unwrap();
    fs::write(root.join("etc/starbelt/agent.toml"), "version = 1\n").unwrap();
    fs::create_dir_all(root.join("var/lib/starbelt/identity")).unwrap();
    fs::write(root.join("var/lib/starbelt/identity/node.key"), "secret").unwrap();
    fs::remove_file(&enabled).unwrap();

    let told = run(&["--install", new]);
    assert!(!told.contains("write /etc/starbelt"), "{told}");
    assert!(!enabled.is_symlink(), "an upgrade enabled what the operator had disabled");
    assert_eq!(read("etc/starbelt/agent.toml"), "version = 1\n");
    assert_eq!(read("var/lib/starbelt/identity/node.key"), "secret");

    run(&["--remove", "starbelt-agent"]);
    assert!(!root.join("usr/bin/starbelt-agent").exists());
    assert_eq!(read("var/lib/starbelt/identity/node.key"), "secret", "a removal keeps state");

    // The controller's configuration lies in the same folder and is not the agent's to remove.
    fs::write(root.join("etc/starbelt/controller.toml"), "").unwrap();
    run(&["--purge", "starbelt-agent"]);
    for gone in ["etc/starbelt/agent.toml", "etc/starbelt/agent.d", "var/lib/starbelt"] {
        assert!(!root.join(gone).exists(), "{gone} is left");
    }
    assert!(root.join("etc/starbelt/controller.toml").exists());
    let left = command::output(Command::new("find").arg(root.join("usr")));
    assert!(left.is_err(), "files are left: {left:?}");
}

#[test]
fn the_units_are_what_systemd_reads() {
    if !have("the_units_are_what_systemd_reads", &["systemd-analyze"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let names = ["starbelt-agent", "starbelt-controller", "starbelt-sim"];
    for name in names {
        let unit = root_of_tests().join(format!("cross/packages/{name}/{name}.service"));
        // The program is not installed here, and that is all that may be said against the unit.
        let text = fs::read_to_string(unit).unwrap();
        let start = format!("ExecStart=/usr/bin/{name} ");
        assert!(text.contains(&start), "{name} starts something else");
        let unit = folder.path().join(format!("{name}.service"));
        fs::write(&unit, text.replace(&start, "ExecStart=/bin/true ")).unwrap();
        let mut verify = Command::new("systemd-analyze");
        let answer = command::quietly(verify.args(["verify", "--man=no"]).arg(&unit)).unwrap();
        let text = String::from_utf8_lossy(&answer.stderr).into_owned();
        let bad =
            |line: &&str| line.contains(name) && !NEW_KEYS.iter().any(|key| line.contains(key));
        let complaints: Vec<_> = text.lines().filter(bad).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

#[test]
fn sums_are_of_all_files_and_a_signature_of_old_ones_goes() {
    if !have("sums_are_of_all_files_and_a_signature_of_old_ones_goes", &["minisign", "sha256sum"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dist = folder.path().join("dist");
    fs::create_dir(&dist).unwrap();
    fs::write(dist.join("a.deb"), "a").unwrap();
    fs::write(dist.join("b.tar.gz"), "b").unwrap();
    sums::write(&dist).unwrap();
    let sums = fs::read_to_string(dist.join(sums::SUMS)).unwrap();
    // SHA-256 of "a".
    let sum = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a.deb";
    assert!(sums.lines().count() == 2 && sums.contains(sum), "{sums}");

    let (secret, public) = (folder.path().join("key"), folder.path().join("key.pub"));
    let mut generate = Command::new("minisign");
    generate.args(["-G", "-W", "-f"]).arg("-s").arg(&secret).arg("-p").arg(&public);
    command::output(&mut generate).unwrap();
    sums::sign(&dist, &secret, "0.1.0").unwrap();
    let verify = || {
        let mut verify = Command::new("minisign");
        verify.current_dir(&dist).arg("-V").arg("-p").arg(&public).args(["-m", sums::SUMS]);
        command::output(&mut verify)
    };
    assert!(verify().unwrap().contains("starbelt 0.1.0"));
    fs::write(dist.join(sums::SUMS), sums.replace("ca97", "0000")).unwrap();
    assert!(verify().is_err(), "a changed list is taken");
    sums::write(&dist).unwrap();
    assert!(!dist.join(sums::SIGNATURE).exists(), "the signature of another list stays");
}

#[test]
fn a_program_that_does_not_fit_its_board_is_refused() {
    let root = root_of_tests();
    let board = Board::load(&root, "raspberry-pi-4").unwrap();
    let (arm64, amd64) = (board.target().unwrap(), Target::of("x86_64-unknown-linux-gnu").unwrap());
    let needs = |machine: &str, glibc: &str| Needs {
        machine: machine.to_owned(),
        libraries: std::collections::BTreeSet::new(),
        glibc: glibc.parse().unwrap(),
        has_symbols: false,
    };
    let good = needs(arm64.machine, "2.31");
    assert!(misfits(&board, arm64, &good, (22.0, Some(22.0))).is_empty());
    for (needs, mb, part) in [
        (needs(amd64.machine, "2.31"), 1.0, "not AArch64"),
        (needs(arm64.machine, "2.34"), 1.0, "needs C library 2.34, the board's systems have 2.31"),
        (good.clone(), 22.1, "22.1 MB, 22.0 are the most"),
        (Needs { has_symbols: true, ..good }, 1.0, "has symbols"),
    ] {
        let problems = misfits(&board, arm64, &needs, (mb, Some(22.0)));
        assert!(problems.len() == 1 && problems[0].contains(part), "{problems:?}");
    }
}
