//! `starbelt adopt` and `starbelt flash` as an operator types them; what they do is tested in `onboard`.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use std::path::Path;
use std::process::{Command, Stdio};

struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn starbelt(dir: &Path, arguments: &[&str]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_starbelt"))
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Done {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

const NODE: [&str; 5] = ["--name", "pi-1", "--connect", "tls/10.0.0.1:7447", "--no-join"];

/// A folder with a package and what is no image.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.deb"), "!<arch>\ndebian-binary").unwrap();
    std::fs::write(dir.path().join("a.img"), vec![0; 100_000]).unwrap();
    dir
}

#[test]
fn adopting_says_what_is_missing_before_it_goes_anywhere() {
    let dir = folder();
    let secret = "00112233445566778899aabbccddeeff";
    std::fs::write(dir.path().join("token"), format!("sbj1.pi-1.{secret}")).unwrap();
    let with = |more: &[&'static str]| {
        let mut all = vec!["adopt", "pi@10.0.0.7", "--package", "a.deb"];
        all.extend_from_slice(more);
        starbelt(dir.path(), &all)
    };
    for (more, code, word) in [
        (&[][..], 2, "--name"),
        (&["--name", "pi-1"][..], 2, "--join https://"),
        (&["--name", "pi-1", "--no-join"][..], 2, "--connect tls/"),
        (&["--token-file", "token"][..], 5, "no join token"),
        (
            &["--name", "pi-1", "--join", "https://c:7449", "--listen", "tls/0.0.0.0:7447"][..],
            2,
            "--address",
        ),
        (&["--config", "none.toml"][..], 1, "none.toml"),
        (&["--remove=nothing"][..], 2, "possible values"),
    ] {
        let done = with(more);
        assert_eq!((done.code, done.stdout.as_str()), (Some(code), ""), "{}", done.stderr);
        assert!(done.stderr.contains(word) && !done.stderr.contains(secret), "{}", done.stderr);
    }
    let mut odd = vec!["adopt", "pi;reboot@host", "--package", "a.deb"];
    odd.extend(NODE);
    let done = starbelt(dir.path(), &odd);
    assert!(done.code == Some(2) && done.stderr.contains("is no board"), "{}", done.stderr);
    assert_eq!(starbelt(dir.path(), &["adopt", "pi@host"]).code, Some(2));
}

#[test]
fn a_board_that_does_not_answer_is_unreachable() {
    let name = "a_board_that_does_not_answer_is_unreachable";
    if Command::new("ssh").arg("-V").output().is_err() {
        return println!("skipped: {name}: ssh is not installed (openssh-client)");
    }
    let dir = folder();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = port.to_string();
    let mut all = vec!["adopt", "127.0.0.1", "--port", &port, "--package", "a.deb"];
    all.extend(NODE);
    let done = starbelt(dir.path(), &all);
    assert_eq!((done.code, done.stdout.as_str()), (Some(4), ""), "{}", done.stderr);
    assert!(done.stderr.contains("Connection refused"), "{}", done.stderr);
}

#[test]
fn flashing_refuses_what_is_no_card_no_image_and_no_package() {
    let dir = folder();
    let with = |image: &str, package: &str, to: [&str; 2]| {
        let mut all = vec!["flash", "rpi", "--image", image, "--package", package, to[0], to[1]];
        all.extend(NODE);
        starbelt(dir.path(), &all)
    };
    for (image, package, to, code, word) in [
        ("a.img", "a.deb", ["--out", "b.img"], 6, "no image of a card"),
        ("none.img", "a.deb", ["--out", "b.img"], 1, "image cannot be read"),
        ("a.img", "a.img", ["--out", "b.img"], 2, "no package of Debian"),
    ] {
        let done = with(image, package, to);
        assert_eq!((done.code, done.stdout.as_str()), (Some(code), ""), "{}", done.stderr);
        assert!(done.stderr.contains(word), "{}", done.stderr);
        assert!(!dir.path().join("b.img").exists());
    }
}

#[test]
fn a_card_is_not_touched_without_a_token_of_the_controller() {
    let name = "a_card_is_not_touched_without_a_token_of_the_controller";
    let dir = folder();
    // A table with a FAT partition; packed, nobody looks into that before it is written.
    let mut image = vec![0; 2 << 20];
    image[450] = 0x0c;
    image[454..458].copy_from_slice(&2048_u32.to_le_bytes());
    image[458..462].copy_from_slice(&2048_u32.to_le_bytes());
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(dir.path().join("b.img"), image).unwrap();
    let packed = Command::new("xz").args(["-0", "b.img"]).current_dir(dir.path()).status();
    if !packed.is_ok_and(|status| status.success()) {
        return println!("skipped: {name}: there is no xz (xz-utils)");
    }
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let controller = format!("http://127.0.0.1:{port}");
    let base =
        ["--controller", &controller, "flash", "rpi", "--image", "b.img.xz", "--package", "a.deb"];
    let node =
        ["--name", "pi-1", "--connect", "tls/c:7447", "--join", "https://c:7449", "--out", "c.img"];
    let shown = starbelt(dir.path(), &[&base[..], &node[..]].concat());
    assert_eq!(shown.code, Some(2), "{}", shown.stderr);
    assert!(shown.stderr.contains("without --yes") && shown.stdout.contains("pi-1 of fleet main"));
    let done = starbelt(dir.path(), &[&base[..], &node[..], &["--yes"]].concat());
    assert_eq!((done.code, done.stdout.as_str()), (Some(4), ""), "{}", done.stderr);
    assert!(done.stderr.contains("no join token for pi-1"), "{}", done.stderr);
    assert!(done.stderr.contains("or give --token-file") && !dir.path().join("c.img").exists());
}

#[test]
fn a_jetson_gets_its_commands_and_word_of_what_is_missing() {
    let dir = folder();
    let base = ["flash", "jetson", "--tools", "l4t", "--package", "a.deb"];
    let node =
        ["--name", "orin-1", "--connect", "tls/10.0.0.1:7447", "--join", "https://10.0.0.1:7449"];
    let done = starbelt(dir.path(), &[&base[..], &node[..]].concat());
    assert_eq!(done.code, Some(6), "{}", done.stderr);
    assert!(
        done.stdout.contains("l4t_initrd_flash.sh --external-device nvme0n1p1"),
        "{}",
        done.stdout
    );
    let adopt = "--package a.deb --name orin-1 --fleet main --connect tls/10.0.0.1:7447 --join https://10.0.0.1:7449\n";
    assert!(done.stdout.ends_with(adopt), "{}", done.stdout);
    assert!(done.stderr.contains("l4t/apply_binaries.sh is not there"), "{}", done.stderr);
    let other = starbelt(dir.path(), &[&base[..], &node[..], &["--board", "x"]].concat());
    assert_eq!(other.code, Some(2));
}
