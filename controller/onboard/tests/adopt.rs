//! Adopting without a board: what is decided, and that whatever fails is taken back in reverse.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use onboard::adopt::perform::{Errand, Left, Remote, RemoteError, Said, perform};
use onboard::adopt::plan::{check_hello, check_package, plan};
use onboard::adopt::probe::{Found, Hello, Joined};
use onboard::adopt::remove::{self, Removal};
use onboard::adopt::step::{Prefix, Root, Run, Stdin, Step, needs_token, shown};
use onboard::adopt::{Joins, Layout, PackageFile, Trouble, Wanted};
use onboard::interrupt::Interrupt;
use onboard::node::{Named, Node};
use protocol::join::Token;
use types::NodeKind;

const SECRET: &str = "00112233445566778899aabbccddeeff";

fn token() -> Token {
    let text = format!("sbj1.pi-1.{}.{SECRET}.{}", "0".repeat(16), "b".repeat(64));
    text.parse().unwrap()
}

fn wanted() -> Wanted {
    Wanted {
        node: Node {
            name: "pi-1".parse().unwrap(),
            fleet: "demo".parse().unwrap(),
            kind: NodeKind::Edge,
            listen: vec![],
            connect: vec!["tls/10.0.0.1:7447".to_owned()],
            join: Some("https://10.0.0.1:7449".to_owned()),
        },
        package: PackageFile {
            path: PathBuf::from("starbelt-agent_0.1.0_arm64.deb"),
            sha256: "c".repeat(64),
            bytes: 8 << 20,
        },
        config: None,
        joins: Joins::With(token()),
        takes_over: false,
    }
}

/// A board fresh from its card.
fn fresh() -> Found {
    Found {
        root: Root::Sudo,
        architecture: "arm64".to_owned(),
        model: Some("Raspberry Pi 4 Model B Rev 1.4".to_owned()),
        has_systemd: true,
        installed: None,
        is_active: false,
        cached: None,
        is_staged: false,
        config: None,
        joined: None,
        cores: 4,
        memory_mib: 3796,
        scratch_free_kib: Some(20_000_000),
        programs_free_kib: Some(20_000_000),
    }
}

/// The same, adopted by us.
fn adopted() -> Found {
    let config = wanted().node.config(onboard::node::Room::of_board(4, 3796));
    let named = Named { name: "pi-1".parse().unwrap(), fleet: "demo".parse().unwrap() };
    Found {
        installed: Some("0.1.0".to_owned()),
        is_active: true,
        cached: Some("c".repeat(64)),
        config: Some((config, Ok(named))),
        joined: Some(Joined { authority: Some("b".repeat(64)) }),
        ..fresh()
    }
}

fn names(steps: &[Step]) -> Vec<&'static str> {
    steps.iter().map(|step| step.name).collect()
}

fn planned(wanted: &Wanted, found: &Found) -> Vec<&'static str> {
    names(&plan(wanted, found, &Layout::default()).unwrap())
}

#[track_caller]
fn refused(wanted: &Wanted, found: &Found, trouble: Trouble, word: &str) {
    let refusal = plan(wanted, found, &Layout::default()).unwrap_err();
    assert!(refusal.trouble == trouble && refusal.message.contains(word), "{refusal:?}");
}

#[test]
fn a_board_gets_what_it_lacks_and_nothing_else() {
    let all = ["stage", "copy", "check", "install", "configure", "join", "start", "keep"];
    assert_eq!(planned(&wanted(), &fresh()), all);
    assert_eq!(planned(&wanted(), &adopted()), Vec::<&str>::new());
    let stopped = Found { is_active: false, ..adopted() };
    assert_eq!(planned(&wanted(), &stopped), ["stage", "start", "keep"]);
    let older = Found { cached: Some("d".repeat(64)), ..adopted() };
    assert_eq!(planned(&wanted(), &older), ["stage", "copy", "check", "install", "start", "keep"]);
    let arrived = Found { is_staged: true, ..fresh() };
    assert!(!planned(&wanted(), &arrived).contains(&"copy"));
    let lost = Found { joined: None, ..adopted() };
    assert_eq!(planned(&wanted(), &lost), ["stage", "join", "start", "keep"]);
    let given = Wanted { config: adopted().config.map(|(text, _)| text), ..wanted() };
    assert_eq!(planned(&given, &adopted()), ["stage", "configure", "start", "keep"]);
    // Without certificates nobody joins.
    let open = Wanted { joins: Joins::Not, ..wanted() };
    assert!(!planned(&open, &fresh()).contains(&"join"));
    // Adopted before and without a token: nobody can tell another authority, and nothing is to do.
    let later = Wanted { joins: Joins::Later, ..wanted() };
    assert!(planned(&later, &adopted()).is_empty());
    // One is made when it is needed: where it has not joined, or is taken from others.
    let steps = plan(&later, &fresh(), &Layout::default()).unwrap();
    assert!(needs_token(&steps) && !needs_token(&steps[..5]), "{:?}", names(&steps));
    let named = Named { name: "pi-2".parse().unwrap(), fleet: "theirs".parse().unwrap() };
    let theirs = Found { config: Some((String::new(), Ok(named))), ..adopted() };
    let takes = Wanted { takes_over: true, ..later };
    assert_eq!(planned(&takes, &theirs), ["stage", "configure", "join", "start", "keep"]);
}

#[test]
fn a_board_of_others_is_left_alone_unless_asked() {
    let other = |name: &str, fleet: &str| {
        let named = Named { name: name.parse().unwrap(), fleet: fleet.parse().unwrap() };
        Found { config: Some((String::new(), Ok(named))), ..adopted() }
    };
    refused(
        &wanted(),
        &other("pi-1", "theirs"),
        Trouble::Conflict,
        "pi-1 of fleet theirs, not pi-1 of fleet demo",
    );
    refused(&wanted(), &other("pi-2", "demo"), Trouble::Conflict, "--take-over");
    let broken =
        Found { config: Some((String::new(), Err("it is no TOML".to_owned()))), ..adopted() };
    refused(&wanted(), &broken, Trouble::Conflict, "no TOML");
    let same_words =
        Found { joined: Some(Joined { authority: Some("e".repeat(64)) }), ..adopted() };
    refused(&wanted(), &same_words, Trouble::Conflict, "another authority");
    let unreadable = Found { joined: Some(Joined { authority: None }), ..adopted() };
    refused(&wanted(), &unreadable, Trouble::Conflict, "another authority");
    let takes = Wanted { takes_over: true, ..wanted() };
    assert_eq!(planned(&takes, &same_words), ["stage", "join", "start", "keep"]);
    assert!(planned(&takes, &other("pi-2", "theirs")).contains(&"configure"));
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_done() {
    let found = fresh();
    refused(&wanted(), &Found { has_systemd: false, ..fresh() }, Trouble::Conflict, "systemd");
    let full = Found { scratch_free_kib: Some(70_000), ..fresh() };
    refused(&wanted(), &full, Trouble::Failure, "70000 KiB are free at /var/tmp");
    let full = Found { programs_free_kib: Some(0), ..fresh() };
    refused(&wanted(), &full, Trouble::Failure, "at /usr/bin");
    let mut other = wanted();
    other.node.name = "pi-2".parse().unwrap();
    refused(&other, &found, Trouble::Usage, "the token is for pi-1");
    let config = Some("[node]\nname = \"pi-1\"\nfleet = \"theirs\"".to_owned());
    refused(&Wanted { config, ..wanted() }, &found, Trouble::Usage, "pi-1 of fleet theirs");
    let hello = Hello { root: None, architecture: Some("arm64".to_owned()) };
    let refusal = check_hello(&hello).unwrap_err();
    assert!(refusal.trouble == Trouble::Denied && refusal.message.contains("NOPASSWD"));
    let refusal = check_hello(&Hello { root: Some(Root::Is), architecture: None }).unwrap_err();
    assert!(refusal.message.contains("no dpkg"));
}

#[test]
fn a_package_is_the_agents_and_for_this_board() {
    let fields = |package: &str, architecture: &str, size: &str| {
        format!(
            "Package: {package}\nVersion: 0.2.0\nArchitecture: {architecture}\nInstalled-Size: {size}\n"
        )
    };
    let check =
        |text: String| check_package(&text, &Found { programs_free_kib: Some(100_000), ..fresh() });
    assert_eq!(check(fields("starbelt-agent", "arm64", "22000")).unwrap(), "0.2.0");
    for (text, word) in [
        (fields("starbelt", "arm64", "1"), "\"starbelt\""),
        (
            fields("starbelt-agent", "amd64", "1"),
            "for amd64, and the board (Raspberry Pi 4 Model B Rev 1.4) is arm64",
        ),
        (fields("starbelt-agent", "arm64", "90000"), "full"),
        (String::new(), "\"\""),
    ] {
        let refusal = check(text).unwrap_err();
        assert!(refusal.message.contains(word), "{refusal:?}");
    }
}

#[test]
fn removing_leaves_other_fleets_and_nothing_of_ours() {
    let removal = Removal {
        fleet: "demo".parse().unwrap(),
        name: None,
        keeps_state: false,
        takes_over: false,
    };
    let plan = |removal: &Removal, found: &Found| remove::plan(removal, found, &Layout::default());
    assert_eq!(names(&plan(&removal, &adopted()).unwrap()), ["remove"]);
    assert!(plan(&removal, &fresh()).unwrap().is_empty());
    let theirs = Removal { fleet: "theirs".parse().unwrap(), ..removal.clone() };
    assert_eq!(plan(&theirs, &adopted()).unwrap_err().trouble, Trouble::Conflict);
    let other = Removal { name: Some("pi-2".parse().unwrap()), ..removal.clone() };
    assert!(plan(&other, &adopted()).unwrap_err().message.contains("the board is pi-1"));
    let all_the_same = Removal { takes_over: true, ..other };
    assert_eq!(plan(&all_the_same, &adopted()).unwrap().len(), 1);
    let keeps = Removal { keeps_state: true, ..removal };
    let left = Found { installed: None, is_active: false, ..adopted() };
    assert!(plan(&keeps, &left).unwrap().is_empty());
    let steps = plan(&keeps, &adopted()).unwrap();
    let Run::Script { text, .. } = &steps[0].run else { panic!("{steps:?}") };
    assert!(text.contains("--remove") && !text.contains("rm -rf"), "{text}");
}

/// A board that does what it is told until a certain command, and then fails or is gone.
struct Board {
    asked: RefCell<Vec<String>>,
    fails_at: usize,
    is_lost: bool,
}

impl Board {
    fn answer(&self, asked: String) -> Result<Said, RemoteError> {
        let mut all = self.asked.borrow_mut();
        let at = all.len();
        all.push(asked);
        // As sudo on a board whose name is in no hosts file.
        let err = "sudo: unable to resolve host pi: Name or service not known\n".to_owned();
        let good = |out: &str| Said { code: 0, out: out.to_owned(), err: err.clone() };
        if self.is_lost && self.fails_at <= at {
            let message = "pi@board: Connection reset".to_owned();
            return Err(RemoteError { trouble: Trouble::Unreachable, message });
        }
        if at == self.fails_at {
            return Ok(Said { code: 1, out: String::new(), err: "it does not work".to_owned() });
        }
        if all[at].contains("dpkg-deb --field") {
            return Ok(good("Package: starbelt-agent\nVersion: 0.1.0\nArchitecture: arm64\n"));
        }
        Ok(good(if all[at].contains("journalctl") { "the last words" } else { "" }))
    }
}

impl Remote for Board {
    fn run(&self, command: &str, stdin: &[u8], _: Duration) -> Result<Said, RemoteError> {
        // The token is on stdin of the one command that needs it, and nowhere else.
        let has_token = String::from_utf8_lossy(stdin).contains(SECRET);
        assert_eq!(has_token, command.contains("starbelt-agent join"), "{command}");
        assert!(!command.contains(SECRET));
        self.answer(command.to_owned())
    }

    fn copy(&self, _: &PackageFile, to: &str, _: Duration) -> Result<(), RemoteError> {
        self.answer(format!("copy {to}")).and_then(|said| match said.code {
            0 => Ok(()),
            _ => Err(RemoteError { trouble: Trouble::Failure, message: said.err }),
        })
    }
}

fn carried_out(board: &Board, steps: &[Step]) -> Result<(), onboard::adopt::perform::Failed> {
    let (package, token, found) = (wanted().package, token(), fresh());
    let interrupt = Interrupt::default();
    let errand = Errand {
        package: Some(&package),
        token: Some(&token),
        found: &found,
        interrupt: &interrupt,
    };
    let mut told = String::new();
    let done = perform(board, steps, &errand, &mut |line| told.push_str(line));
    assert!(!told.contains(SECRET) && !format!("{done:?}").contains(SECRET));
    done
}

#[test]
fn whichever_step_fails_all_before_it_are_undone_in_reverse() {
    let steps = plan(&wanted(), &fresh(), &Layout::default()).unwrap();
    for (at, step) in steps.iter().enumerate() {
        let board = Board { asked: RefCell::default(), fails_at: at, is_lost: false };
        let failed = carried_out(&board, &steps).unwrap_err();
        assert_eq!((failed.step, &failed.left), (step.name, &Left::AsItWas), "{failed}");
        assert!(failed.to_string().contains("the board is as it was"), "{failed}");
        assert_eq!(failed.why.contains("the last words"), step.name == "start", "{failed}");
        let asked = board.asked.borrow();
        let undone = &asked[at + 1..];
        let undone: Vec<&String> =
            undone.iter().filter(|asked| !asked.contains("journalctl")).collect();
        let expected: Vec<&String> =
            steps[..=at].iter().rev().filter_map(|step| step.undo.as_ref()).collect();
        assert_eq!(undone.len(), expected.len(), "{}", step.name);
        for (undone, expected) in undone.iter().zip(expected) {
            let wanted = onboard::adopt::step::command(expected, true, Root::Sudo);
            assert_eq!(**undone, wanted);
        }
    }
    let board = Board { asked: RefCell::default(), fails_at: usize::MAX, is_lost: false };
    carried_out(&board, &steps).unwrap();
    assert_eq!(board.asked.borrow().len(), steps.len());
}

#[test]
fn a_board_that_is_lost_is_asked_once_more_and_then_left_with_word_of_what_is_there() {
    let steps = plan(&wanted(), &fresh(), &Layout::default()).unwrap();
    for at in 0..steps.len() {
        let board = Board { asked: RefCell::default(), fails_at: at, is_lost: true };
        let failed = carried_out(&board, &steps).unwrap_err();
        assert_eq!((failed.trouble, failed.step), (Trouble::Unreachable, steps[at].name));
        assert_eq!(board.asked.borrow().len(), at + 2, "{failed}");
        let Left::Changed(left, _) = &failed.left else { panic!("{failed}") };
        assert!(
            left.contains(&"stage") && failed.to_string().contains("same command again"),
            "{failed}"
        );
    }
}

#[test]
fn ctrl_c_between_steps_takes_back_what_was_done() {
    let steps = plan(&wanted(), &fresh(), &Layout::default()).unwrap();
    let board = Board { asked: RefCell::default(), fails_at: usize::MAX, is_lost: false };
    let (package, found, interrupt) = (wanted().package, fresh(), Interrupt::default());
    let token = token();
    let errand = Errand {
        package: Some(&package),
        token: Some(&token),
        found: &found,
        interrupt: &interrupt,
    };
    let mut tell = |line: &str| {
        if line.starts_with("install") {
            interrupt.set();
        }
    };
    let failed = perform(&board, &steps, &errand, &mut tell).unwrap_err();
    assert_eq!((failed.why.as_str(), failed.left), ("interrupted", Left::AsItWas));
}

#[test]
fn a_dry_run_shows_every_command_and_no_secret() {
    let steps = plan(&wanted(), &fresh(), &Layout::default()).unwrap();
    let target = |path: &str| format!("pi@board:{path}");
    let prefix = Prefix { ssh: "ssh -- pi@board", scp: "scp -- a.deb", target: &target };
    let text: String = steps.iter().map(|step| shown(step, Root::Sudo, &prefix)).collect();
    for step in &steps {
        assert!(text.contains(&format!("# {}: ", step.name)), "{text}");
    }
    assert!(
        text.contains(
            "scp -- a.deb pi@board:/var/tmp/starbelt-adopt-cccccccccccccccc/package.deb.part\n"
        ),
        "{text}"
    );
    assert!(text.contains("# stdin: the join token\n") && !text.contains(SECRET), "{text}");
    assert!(text.contains("#   name = \"pi-1\"\n") && text.contains("# undone by: ssh"), "{text}");
    let has_text = |step: &Step| matches!(&step.run, Run::Script { stdin: Stdin::Text(_), .. });
    assert_eq!(steps.iter().filter(|step| has_text(step)).count(), 1);
}

/// Every script, as it would be on a board, is one that `sh` understands.
#[test]
fn all_scripts_are_sh() {
    let takes = Wanted { takes_over: true, ..wanted() };
    let upgrade = Found { cached: Some("d".repeat(64)), config: None, ..adopted() };
    let unknown = Found { cached: None, ..upgrade.clone() };
    let layout = Layout::below("/a root/with 'quotes'");
    let removal = Removal {
        fleet: "demo".parse().unwrap(),
        name: None,
        keeps_state: false,
        takes_over: true,
    };
    let all = [fresh(), upgrade, unknown].into_iter().flat_map(|found| {
        let mut steps = plan(&takes, &found, &layout).unwrap();
        steps.extend(remove::plan(&removal, &adopted(), &layout).unwrap());
        steps
    });
    for step in all {
        let run = match step.run {
            Run::Script { text, .. } => Some(text),
            Run::CopyPackage { .. } => None,
        };
        for script in run.into_iter().chain(step.undo) {
            let checked =
                std::process::Command::new("sh").args(["-n", "-c", &script]).output().unwrap();
            assert!(
                checked.status.success(),
                "{}: {script}\n{}",
                step.name,
                String::from_utf8_lossy(&checked.stderr)
            );
        }
    }
}
