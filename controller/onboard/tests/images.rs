//! Cards from image to customised, on image files with a real partition table and a real FAT, read again by other means.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use fscommon::StreamSlice;
use onboard::flash::card::{CardError, Order, examine, prepare};
use onboard::flash::format::InitFormat;
use onboard::flash::seed::Seed;
use onboard::flash::write::make_file;
use onboard::interrupt::Interrupt;
use onboard::node::Node;
use onboard::sha256_hex;
use protocol::join::Token;
use types::NodeKind;

/// Where the boot partition of these images starts and how large it is, bytes: as Raspberry Pi OS, but smaller.
const BOOT: (u64, u64) = (4 << 20, 40 << 20);
/// The root behind it.
const ROOT: (u64, u64) = (44 << 20, 8 << 20);
const CMDLINE: &str = "console=serial0,115200 console=tty1 root=PARTUUID=8a5b-02 rootfstype=ext4 fsck.repair=yes rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n";

struct Bench {
    dir: tempfile::TempDir,
}

fn node() -> Node {
    Node {
        name: "pi-1".parse().unwrap(),
        fleet: "demo".parse().unwrap(),
        kind: NodeKind::Edge,
        listen: vec![],
        connect: vec!["tls/10.0.0.1:7447".to_owned()],
        join: Some("https://10.0.0.1:7449".to_owned()),
    }
}

fn token() -> Token {
    let text = format!("sbj1.pi-1.{}.{}.{}", "0".repeat(16), "a".repeat(32), "b".repeat(64));
    text.parse().unwrap()
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An image with these files in its boot partition.
    fn image(&self, files: &[(&str, &str)]) -> PathBuf {
        let path = self.path("system.img");
        let mut image =
            File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        image.set_len(ROOT.0 + ROOT.1).unwrap();
        let mut mbr = [0_u8; 512];
        for (at, kind, (start, size)) in [(446, 0x0c, BOOT), (462, 0x83, ROOT)] {
            mbr[at + 4] = kind;
            mbr[at + 8..at + 12]
                .copy_from_slice(&u32::try_from(start / 512).unwrap().to_le_bytes());
            mbr[at + 12..at + 16]
                .copy_from_slice(&u32::try_from(size / 512).unwrap().to_le_bytes());
        }
        mbr[510..].copy_from_slice(&[0x55, 0xaa]);
        image.write_all(&mbr).unwrap();
        image.seek(SeekFrom::Start(ROOT.0)).unwrap();
        let root: Vec<u8> =
            (0..ROOT.1 / 4).flat_map(|n| u32::try_from(n).unwrap().to_le_bytes()).collect();
        image.write_all(&root).unwrap();
        let volume = self.slice(&path);
        fatfs::format_volume(volume, FormatVolumeOptions::new().volume_label(*b"bootfs     "))
            .unwrap();
        let volume = FileSystem::new(self.slice(&path), FsOptions::new()).unwrap();
        for (name, text) in files {
            volume.root_dir().create_file(name).unwrap().write_all(text.as_bytes()).unwrap();
        }
        volume.unmount().unwrap();
        path
    }

    fn slice(&self, path: &Path) -> StreamSlice<File> {
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        StreamSlice::new(file, BOOT.0, BOOT.0 + BOOT.1).unwrap()
    }

    fn packed(&self, image: &Path) -> Option<PathBuf> {
        let done = Command::new("xz").args(["-0", "-k", "-f"]).arg(image).status();
        done.is_ok_and(|status| status.success()).then(|| image.with_extension("img.xz"))
    }

    /// Text of a file on a card; empty where there is none.
    fn text(&self, card: &Path, name: &str) -> String {
        let volume = FileSystem::new(self.slice(card), FsOptions::new()).unwrap();
        let mut text = String::new();
        if let Ok(mut file) = volume.root_dir().open_file(name) {
            file.read_to_string(&mut text).unwrap();
        }
        text
    }

    fn prepare(
        &self,
        image: &Path,
        format: Option<InitFormat>,
        package: &[u8],
    ) -> Result<(PathBuf, InitFormat), CardError> {
        let (node, token, card) = (node(), token(), self.path("card.img"));
        fs::remove_file(&card).ok();
        let seed = Seed {
            node: &node,
            config: None,
            package,
            token: Some(&token),
            keys: &[],
            network: None,
        };
        let order = Order { image, sha256: None, format, seed: &seed };
        let go = Interrupt::default();
        let examined = examine(&order, &go)?;
        assert_eq!(examined.bytes, ROOT.0 + ROOT.1);
        let mut file = make_file(&card).unwrap();
        let (written, format) = prepare(&order, &examined, (&mut file, None), &go, &mut |_| {})?;
        assert_eq!(written.bytes, ROOT.0 + ROOT.1);
        Ok((card, format))
    }
}

fn bookworm() -> [(&'static str, &'static str); 3] {
    let issue = "Raspberry Pi reference 2024-11-19\nGenerated using pi-gen, https://github.com/RPi-Distro/pi-gen, 891df1e, stage2\n";
    [("cmdline.txt", CMDLINE), ("config.txt", "arm_64bit=1\n"), ("issue.txt", issue)]
}

fn trixie() -> [(&'static str, &'static str); 5] {
    let issue = "Raspberry Pi reference 2025-12-04\n";
    [
        ("cmdline.txt", CMDLINE),
        ("issue.txt", issue),
        ("user-data", "#cloud-config\n"),
        ("meta-data", "instance_id: rpios-image\n"),
        ("network-config", "#\n"),
    ]
}

#[test]
fn an_older_and_a_newer_image_are_each_customised_as_they_understand() {
    let bench = Bench::new();
    let package = vec![7; 3 << 20];
    let (card, format) = bench.prepare(&bench.image(&bookworm()), None, &package).unwrap();
    assert_eq!(format, InitFormat::Systemd);
    assert!(bench.text(&card, "cmdline.txt").contains(" systemd.run=/boot/firstrun.sh "));
    assert!(bench.text(&card, "firstrun.sh").contains("first-boot.sh"));
    assert_eq!(bench.text(&card, "user-data"), "");
    let (card, format) = bench.prepare(&bench.image(&trixie()), None, &package).unwrap();
    assert_eq!(format, InitFormat::CloudInitRpi);
    assert!(bench.text(&card, "user-data").contains("hostname: pi-1\n"));
    assert!(bench.text(&card, "meta-data").contains("instance-id: starbelt-"));
    assert_eq!(bench.text(&card, "firstrun.sh"), "");
    assert_eq!(bench.text(&card, "starbelt-token").trim(), token().to_string());
    assert!(bench.text(&card, "starbelt-first-boot.sh").contains(&sha256_hex(&package)));
    // What was not customised is as in the image, to the byte.
    let (image, card) = (fs::read(bench.path("system.img")).unwrap(), fs::read(card).unwrap());
    let (start, end) = (usize::try_from(BOOT.0).unwrap(), usize::try_from(ROOT.0).unwrap());
    assert!(image[..start] == card[..start] && image[end..] == card[end..]);
}

#[test]
fn a_packed_image_gives_the_same_card() {
    let bench = Bench::new();
    let image = bench.image(&trixie());
    let Some(packed) = bench.packed(&image) else {
        return println!("skipped: a_packed_image_gives_the_same_card: xz is not installed");
    };
    let (card, _) = bench.prepare(&image, None, b"deb").unwrap();
    let plain = fs::read(card).unwrap();
    let (card, _) = bench.prepare(&packed, None, b"deb").unwrap();
    assert!(plain == fs::read(card).unwrap());
}

/// The file system that we leave behind is one that others read: mtools and fsck of dosfstools.
#[test]
fn other_programs_find_the_boot_partition_in_order() {
    let bench = Bench::new();
    let (card, _) = bench.prepare(&bench.image(&bookworm()), None, &vec![1; 2 << 20]).unwrap();
    let part = bench.path("boot.fat");
    let mut bytes = Vec::new();
    bench.slice(&card).read_to_end(&mut bytes).unwrap();
    fs::write(&part, bytes).unwrap();
    let Ok(fsck) = Command::new("fsck.fat").arg("-n").arg(&part).output() else {
        return println!(
            "skipped: other_programs_find_the_boot_partition_in_order: fsck.fat is not installed (dosfstools)"
        );
    };
    assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stdout));
    let Ok(listed) = Command::new("mdir").args(["-b", "-/", "-i"]).arg(&part).output() else {
        return println!(
            "skipped: other_programs_find_the_boot_partition_in_order: mdir is not installed (mtools)"
        );
    };
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("firstrun.sh") && listed.contains("starbelt-agent.deb"), "{listed}");
}

#[test]
fn what_cannot_be_customised_is_refused_before_a_card_is_erased() {
    let bench = Bench::new();
    let unknown = bench.image(&[("cmdline.txt", CMDLINE)]);
    let error = bench.prepare(&unknown, None, b"deb").unwrap_err().to_string();
    assert!(error.contains("--init-format") && !bench.path("card.img").exists(), "{error}");
    let (_, format) = bench.prepare(&unknown, Some(InitFormat::Systemd), b"deb").unwrap();
    assert_eq!(format, InitFormat::Systemd);
    let bare = bench.image(&[("kernel8.img", "x")]);
    let error = bench.prepare(&bare, Some(InitFormat::Systemd), b"deb").unwrap_err().to_string();
    assert!(error.contains("cmdline.txt of the image is missing"), "{error}");
}

#[test]
fn a_full_boot_partition_leaves_a_card_that_starts_nothing() {
    let bench = Bench::new();
    let error = bench.prepare(&bench.image(&bookworm()), None, &vec![1; 50 << 20]).unwrap_err();
    assert!(
        matches!(error, CardError::Boot(_)) && error.to_string().contains("bytes free"),
        "{error}"
    );
    let card = fs::read(bench.path("card.img")).unwrap();
    assert!(card[..512].iter().all(|byte| *byte == 0));
}

#[test]
fn an_image_that_is_another_or_none_is_refused() {
    let bench = Bench::new();
    let (node, image) = (node(), bench.image(&trixie()));
    let seed =
        Seed { node: &node, config: None, package: b"", token: None, keys: &[], network: None };
    let right = sha256_hex(&fs::read(&image).unwrap());
    let go = Interrupt::default();
    let order = |image, sha256| Order { image, sha256, format: None, seed: &seed };
    let upper = right.to_uppercase();
    examine(&order(&image, Some(&upper)), &go).unwrap();
    let wrong = "0".repeat(64);
    let error = examine(&order(&image, Some(&wrong)), &go).unwrap_err();
    assert!(matches!(error, CardError::Sum { .. }), "{error}");
    let text = bench.path("readme.img");
    fs::write(&text, vec![b'x'; 100_000]).unwrap();
    assert!(
        examine(&order(&text, None), &go).unwrap_err().to_string().contains("no image of a card")
    );
    let short = bench.path("short.img");
    fs::write(&short, b"x").unwrap();
    assert!(
        examine(&order(&short, None), &go).unwrap_err().to_string().contains("no image of a card")
    );
    let none = bench.path("none.img");
    assert!(examine(&order(&none, None), &go).is_err());
    go.set();
    let error = examine(&order(&image, Some(&right)), &go).unwrap_err();
    assert!(matches!(error, CardError::Interrupted), "{error}");
}
