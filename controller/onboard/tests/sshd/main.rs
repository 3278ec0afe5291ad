//! Adopting over real `ssh` and `scp`, from a server of its own on loopback, with real dpkg in a folder of its own. What is not
//! real is named in `bench.rs`: systemd, users, and the agent.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

mod bench;
mod cut;

use onboard::adopt::Trouble;
use onboard::adopt::perform::Left;

use bench::{Asked, Bench, SECRET};

/// Skips, with a reason, where a machine lacks what these tests need.
macro_rules! bench {
    ($name:literal) => {
        match Bench::new() {
            Ok(bench) => bench,
            Err(reason) => return println!("skipped: {}: {reason}", $name),
        }
    };
}

#[test]
fn a_board_is_adopted_once_and_removed_again() {
    let bench = bench!("a_board_is_adopted_once_and_removed_again");
    let package = bench.package("0.1.0", bench::here(), 100);
    let asked = Asked::new(&package);
    let done = bench.adopt(&asked).unwrap();
    assert_eq!(done, ["stage", "copy", "check", "install", "configure", "join", "start", "keep"]);
    assert!(bench.is_active() && bench.has("usr/bin/starbelt-agent"));
    let config = bench.read("etc/starbelt/agent.toml");
    assert!(config.contains("name = \"pi-1\"") && config.contains("fleet = \"demo\""), "{config}");
    // The scripts of our package made the user and enabled the service.
    let helpers = bench.note("helpers");
    assert!(
        helpers.contains("starbelt-agent.conf")
            && helpers.contains("enable starbelt-agent.service"),
        "{helpers}"
    );
    // The token came through stdin, whole, and was no argument of anything on the board.
    assert_eq!(bench.note("joined-with"), asked.token.as_ref().unwrap().to_string());
    assert!(!bench.note("arguments").contains(SECRET) && bench.note("arguments").contains("join"));
    assert!(bench.scratch().is_empty(), "{:?}", bench.scratch());
    assert!(bench.has("var/cache/starbelt/adopted.deb"));
    // Again, nothing is done; not even the service is started anew.
    let starts = bench.note("journal").matches("start").count();
    assert!(bench.adopt(&asked).unwrap().is_empty());
    assert_eq!(bench.note("journal").matches("start").count(), starts);

    assert_eq!(bench.remove(false).unwrap(), ["remove"]);
    let unit = "usr/lib/systemd/system/starbelt-agent.service";
    for left in
        ["usr/bin/starbelt-agent", unit, "etc/starbelt", "var/lib/starbelt", "var/cache/starbelt"]
    {
        assert!(!bench.has(left), "{left}");
    }
    assert!(bench.scratch().is_empty() && bench.remove(false).unwrap().is_empty());
}

#[test]
fn a_host_key_that_is_unknown_or_another_ends_it() {
    let bench = bench!("a_host_key_that_is_unknown_or_another_ends_it");
    let package = bench.package("0.1.0", bench::here(), 100);
    for (known, word) in
        [("", "not known here"), (bench.other_host_key().as_str(), "another one than before")]
    {
        bench.know(known);
        let failed = bench.adopt(&Asked::new(&package)).unwrap_err();
        assert!(failed.trouble == Trouble::Denied && failed.words.contains(word), "{failed:?}");
    }
    assert!(bench.scratch().is_empty() && bench.note("arguments").is_empty());
}

#[test]
fn without_a_key_of_ours_or_without_sudo_it_is_denied() {
    let bench = bench!("without_a_key_of_ours_or_without_sudo_it_is_denied");
    let package = bench.package("0.1.0", bench::here(), 100);
    bench.set("no-sudo");
    let failed = bench.adopt(&Asked::new(&package)).unwrap_err();
    assert!(failed.trouble == Trouble::Denied && failed.words.contains("NOPASSWD"), "{failed:?}");
    bench.forget_key();
    let failed = bench.adopt(&Asked::new(&package)).unwrap_err();
    assert!(
        failed.trouble == Trouble::Denied && failed.words.contains("ssh-copy-id"),
        "{failed:?}"
    );
    bench.stop();
    let failed = bench.adopt(&Asked::new(&package)).unwrap_err();
    assert!(
        failed.trouble == Trouble::Unreachable && failed.words.contains("refused"),
        "{failed:?}"
    );
}

#[test]
fn a_package_for_another_processor_is_refused_and_gone_again() {
    let bench = bench!("a_package_for_another_processor_is_refused_and_gone_again");
    let package = bench.package("0.1.0", "s390x", 100);
    let failed = bench.adopt(&Asked::new(&package)).unwrap_err();
    assert!(
        failed.trouble == Trouble::Conflict && failed.words.contains("for s390x"),
        "{failed:?}"
    );
    assert_eq!((failed.step, failed.left), ("check", Some(Left::AsItWas)));
    assert!(bench.scratch().is_empty() && !bench.has("usr/bin/starbelt-agent"));
}

#[test]
fn an_agent_that_does_not_come_up_is_taken_back_with_its_last_words() {
    let bench = bench!("an_agent_that_does_not_come_up_is_taken_back_with_its_last_words");
    let package = bench.package("0.1.0", bench::here(), 100);
    bench.set("broken");
    let failed = bench.adopt(&Asked::new(&package)).unwrap_err();
    assert!(failed.words.contains("no store: disk is read-only"), "{failed:?}");
    assert_eq!((failed.step, failed.left), ("start", Some(Left::AsItWas)));
    for left in ["usr/bin/starbelt-agent", "etc/starbelt/agent.toml", "var/lib/starbelt/identity"] {
        assert!(!bench.has(left), "{left}");
    }
    assert!(bench.scratch().is_empty() && !bench.is_active());
    // The same command again, once that is mended.
    bench.clear("broken");
    assert_eq!(bench.adopt(&Asked::new(&package)).unwrap().len(), 8);
}

#[test]
fn an_upgrade_that_fails_brings_the_old_agent_back() {
    let bench = bench!("an_upgrade_that_fails_brings_the_old_agent_back");
    bench.adopt(&Asked::new(&bench.package("0.1.0", bench::here(), 100))).unwrap();
    let newer = bench.package("0.2.0", bench::here(), 100);
    bench.set("broken-0.2.0");
    let failed = bench.adopt(&Asked::new(&newer)).unwrap_err();
    assert_eq!((failed.step, &failed.left), ("start", &Some(Left::AsItWas)), "{failed:?}");
    assert!(bench.is_active() && bench.read("usr/bin/starbelt-agent").contains("0.1.0"));
    assert!(
        bench.has("etc/starbelt/agent.toml") && bench.has("var/lib/starbelt/identity/node.pem")
    );
    bench.clear("broken-0.2.0");
    let done = bench.adopt(&Asked::new(&newer)).unwrap();
    assert_eq!(done, ["stage", "copy", "check", "install", "start", "keep"]);
    assert!(bench.read("usr/bin/starbelt-agent").contains("0.2.0"));
}

#[test]
fn a_bad_configuration_and_a_refused_token_are_taken_back() {
    let bench = bench!("a_bad_configuration_and_a_refused_token_are_taken_back");
    let package = bench.package("0.1.0", bench::here(), 100);
    for (fault, step, trouble, word) in [
        ("bad-config", "configure", Trouble::Failure, "bus.connect: no address"),
        ("deny", "join", Trouble::Denied, "this token has expired"),
    ] {
        bench.set(fault);
        let failed = bench.adopt(&Asked::new(&package)).unwrap_err();
        assert!(failed.words.contains(word), "{failed:?}");
        assert_eq!(
            (failed.step, failed.trouble, failed.left),
            (step, trouble, Some(Left::AsItWas))
        );
        assert!(!bench.has("usr/bin/starbelt-agent") && !bench.has("etc/starbelt/agent.toml"));
        bench.clear(fault);
    }
}

#[test]
fn a_board_of_another_fleet_is_refused_unless_asked() {
    let bench = bench!("a_board_of_another_fleet_is_refused_unless_asked");
    let package = bench.package("0.1.0", bench::here(), 100);
    bench.adopt(&Asked::new(&package)).unwrap();
    // Same words, another authority.
    bench.note_down("authority", "somebody else");
    let other = Asked { token: Some(bench::token("somebody else")), ..Asked::new(&package) };
    let failed = bench.adopt(&other).unwrap_err();
    assert!(
        failed.trouble == Trouble::Conflict && failed.words.contains("another authority"),
        "{failed:?}"
    );
    let mut named = Asked::new(&package);
    named.fleet = "theirs";
    let failed = bench.adopt(&named).unwrap_err();
    assert!(failed.words.contains("pi-1 of fleet demo, not pi-1 of fleet theirs"), "{failed:?}");
    // Asked for, it fails first, and the old identity is there again; then it is taken.
    let takes = Asked { takes_over: true, fleet: "theirs", ..other };
    bench.set("deny");
    bench.adopt(&takes).unwrap_err();
    assert_eq!(bench.identity(), bench::certificate("authority"));
    assert!(
        bench.read("etc/starbelt/agent.toml").contains("fleet = \"demo\"") && bench.is_active()
    );
    bench.clear("deny");
    assert_eq!(bench.adopt(&takes).unwrap(), ["stage", "configure", "join", "start", "keep"]);
    assert_eq!(bench.identity(), bench::certificate("somebody else"));
    assert!(!bench.has("var/lib/starbelt/identity.before"));
}

#[test]
fn a_connection_that_is_lost_while_copying_leaves_nothing_and_the_next_try_works() {
    let name = "a_connection_that_is_lost_while_copying_leaves_nothing_and_the_next_try_works";
    let bench = match Bench::new() {
        Ok(bench) => bench,
        Err(reason) => return println!("skipped: {name}: {reason}"),
    };
    let package = bench.package("0.1.0", bench::here(), 6 << 20);
    let cut = cut::Cut::start(bench.port, 2 << 20);
    bench.go_through(cut.port);
    let failed = bench.adopt(&Asked::new(&package)).unwrap_err();
    assert_eq!((failed.step, failed.trouble), ("copy", Trouble::Unreachable), "{failed:?}");
    // The board was reached again, and cleared.
    assert_eq!(failed.left, Some(Left::AsItWas), "{failed:?}");
    assert!(bench.scratch().is_empty() && cut.was_cut());
    bench.adopt(&Asked::new(&package)).unwrap();
    assert!(bench.is_active());
}

#[test]
fn a_board_that_stays_away_is_left_with_word_of_what_is_there_and_the_next_try_goes_on() {
    let name =
        "a_board_that_stays_away_is_left_with_word_of_what_is_there_and_the_next_try_goes_on";
    let bench = match Bench::new() {
        Ok(bench) => bench,
        Err(reason) => return println!("skipped: {name}: {reason}"),
    };
    let package = bench.package("0.1.0", bench::here(), 6 << 20);
    let cut = cut::Cut::start_for_good(bench.port, 2 << 20);
    bench.go_through(cut.port);
    let failed = bench.adopt(&Asked::new(&package)).unwrap_err();
    assert_eq!(failed.step, "copy", "{failed:?}");
    assert!(
        matches!(&failed.left, Some(Left::Changed(steps, _)) if steps == &["stage"]),
        "{failed:?}"
    );
    assert!(failed.words.contains("same command again"), "{failed:?}");
    assert_eq!(bench.scratch().len(), 1);
    bench.go_through(bench.port);
    bench.adopt(&Asked::new(&package)).unwrap();
    assert!(bench.scratch().is_empty() && bench.is_active());
}

#[test]
fn a_full_disk_is_said_before_and_survived_after() {
    let bench = bench!("a_full_disk_is_said_before_and_survived_after");
    let package = bench.package("0.1.0", bench::here(), 6 << 20);
    let small = match bench.small_scratch() {
        Ok(small) => small,
        Err(reason) => {
            return println!("skipped: a_full_disk_is_said_before_and_survived_after: {reason}");
        }
    };
    let failed = bench.adopt(&Asked::new(&package)).unwrap_err();
    assert!(failed.words.contains("the disk of the board is full"), "{failed:?}");
    // Something else takes the room after it was asked for.
    bench.set("df-lies");
    let failed = bench.adopt(&Asked::new(&package)).unwrap_err();
    assert_eq!((failed.step, &failed.left), ("copy", &Some(Left::AsItWas)), "{failed:?}");
    assert!(bench.scratch().is_empty(), "{:?}", bench.scratch());
    drop(small);
}

#[test]
fn dpkg_is_waited_for_while_the_board_upgrades_itself() {
    let bench = bench!("dpkg_is_waited_for_while_the_board_upgrades_itself");
    let package = bench.package("0.1.0", bench::here(), 100);
    let waited = bench.hold_lock_until_dpkg_was_refused();
    bench.adopt(&Asked::new(&package)).unwrap();
    assert!(bench.was_refused(), "dpkg was never refused");
    waited.join().unwrap();
    assert!(bench.is_active());
}

#[test]
fn a_folder_that_somebody_else_made_is_not_used() {
    let bench = bench!("a_folder_that_somebody_else_made_is_not_used");
    let package = bench.package("0.1.0", bench::here(), 100);
    bench.trap(&package);
    let failed = bench.adopt(&Asked::new(&package)).unwrap_err();
    assert!(failed.step == "stage" && failed.words.contains("is not ours"), "{failed:?}");
    assert!(!bench.has("usr/bin/starbelt-agent"));
}

/// The first start of a card, with the files that a card gets, in a folder that stands for its boot partition.
#[test]
fn a_card_installs_the_agent_at_its_first_start_and_joins_later() {
    let bench = bench!("a_card_installs_the_agent_at_its_first_start_and_joins_later");
    let package = bench.package("0.1.0", bench::here(), 100);
    let said = bench.first_boot(&package);
    assert!(said.is_ok(), "{said:?}");
    let config = bench.read("etc/starbelt/agent.toml");
    assert!(!config.contains('@') && config.contains("milli_cpu = "), "{config}");
    assert!(bench.has("usr/bin/starbelt-agent") && bench.boot_files() == 0);
    assert!(bench.has("etc/systemd/system/starbelt-join.service"));
    // Later the service runs this: nobody answers, then somebody does.
    bench.set("away");
    assert!(bench.join_of_first_boot().is_err() && bench.has("var/lib/starbelt-first-boot/token"));
    bench.clear("away");
    bench.join_of_first_boot().unwrap();
    assert_eq!(bench.note("joined-with").trim(), bench::token("authority").to_string());
    assert!(!bench.has("var/lib/starbelt-first-boot") && !bench.note("arguments").contains(SECRET));
    assert!(!bench.has("etc/systemd/system/starbelt-join.service") && bench.is_active());
}

#[test]
fn a_card_with_a_damaged_package_installs_nothing_and_a_refused_token_is_not_tried_again() {
    let bench = bench!(
        "a_card_with_a_damaged_package_installs_nothing_and_a_refused_token_is_not_tried_again"
    );
    let package = bench.package("0.1.0", bench::here(), 100);
    bench.set("damaged");
    assert!(bench.first_boot(&package).is_err() && !bench.has("usr/bin/starbelt-agent"));
    bench.clear("damaged");
    bench.first_boot(&package).unwrap();
    bench.set("deny");
    let said = bench.join_of_first_boot().unwrap();
    assert!(said.contains("not tried again"), "{said}");
    assert!(!bench.has("var/lib/starbelt-first-boot") && !bench.is_active());
}
