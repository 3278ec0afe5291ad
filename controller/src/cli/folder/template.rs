//! What `starbelt fn new` writes: the contract, the guest crate and a first source, as they were when this program was built.

use clap::ValueEnum;
use types::FunctionId;

/// What a function is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Language {
    /// Rust.
    #[default]
    Rust,
    /// Rust with all of its standard library, over WASI.
    RustStd,
    /// C, over WASI.
    C,
}

/// The contract.
const WIT: [(&str, &str); 3] = [
    ("wit/ABI.md", include_str!("../../../../functions/wit/ABI.md")),
    ("wit/wasi/world.wit", include_str!("../../../../functions/wit/wasi/world.wit")),
    ("wit/world.wit", include_str!("../../../../functions/wit/world.wit")),
];

macro_rules! sdk {
    ($($name:literal),*) => {
        [$((
            concat!("sdk/src/", $name),
            include_str!(concat!("../../../../functions/sdk/src/", $name)),
        )),*]
    };
}

/// The sources of the guest crate.
const SDK: [(&str, &str); 12] = sdk![
    "bindings.rs",
    "bytes.rs",
    "calls.rs",
    "fake.rs",
    "infer.rs",
    "lib.rs",
    "node.rs",
    "objects.rs",
    "output.rs",
    "sky.rs",
    "state.rs",
    "stateful.rs"
];
const SDK_MANIFEST: &str = include_str!("../../../../functions/templates/sdk.toml");
/// The versions that this repository is tested with.
const LOCK: &str = include_str!("../../../../functions/templates/lock.toml");

const MANIFEST: &str = include_str!("../../../../functions/templates/function.toml");
const README: &str = include_str!("../../../../functions/templates/README.md");
const GITIGNORE: &str = include_str!("../../../../functions/templates/gitignore");
const RUST: [&str; 2] = [
    include_str!("../../../../functions/templates/rust/manifest.toml"),
    include_str!("../../../../functions/templates/rust/lib.rs"),
];
const RUST_STD: [&str; 2] = [
    include_str!("../../../../functions/templates/rust-std/manifest.toml"),
    include_str!("../../../../functions/templates/rust-std/lib.rs"),
];
const C: &str = include_str!("../../../../functions/templates/c/function.c");

/// A file: its path in the folder, and what is in it.
pub(super) type File = (&'static str, String);

impl Language {
    /// What it is called in a sentence.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::RustStd => "Rust with its standard library",
            Self::C => "C",
        }
    }
}

/// All files of a new function, in order of their paths.
pub(super) fn files(name: &FunctionId, language: Language) -> Vec<File> {
    let fill = |text: &str| text.replace("{{name}}", name.as_str());
    let mut files: Vec<File> = vec![
        (".gitignore", GITIGNORE.to_owned()),
        ("README.md", fill(&readme(language))),
        (super::MANIFEST, fill(MANIFEST)),
    ];
    files.extend(WIT.map(|(path, text)| (path, text.to_owned())));
    let [manifest, source] = match language {
        Language::Rust => RUST,
        Language::RustStd => RUST_STD,
        Language::C => {
            files.push(("src/function.c", C.to_owned()));
            return sorted(files);
        }
    };
    files.push(("Cargo.toml", fill(manifest)));
    files.push(("Cargo.lock", fill(LOCK).replace("{{version}}", env!("CARGO_PKG_VERSION"))));
    files.push(("src/lib.rs", source.to_owned()));
    files.push(("sdk/Cargo.toml", sdk_manifest()));
    files.extend(SDK.map(|(path, text)| (path, text.to_owned())));
    sorted(files)
}

fn sorted(mut files: Vec<File>) -> Vec<File> {
    files.sort();
    files
}

fn sdk_manifest() -> String {
    SDK_MANIFEST
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{rust-version}}", env!("CARGO_PKG_RUST_VERSION"))
}

fn readme(language: Language) -> String {
    let (source, files, tests) = match language {
        Language::C => ("`src/function.c` | the function", "", ""),
        Language::Rust | Language::RustStd => (
            "`src/lib.rs` | the function, with tests that need no node",
            "| `sdk/` | the guest crate: bindings of the contract, and a node in memory for tests |\n",
            " `cargo test` runs its tests on this machine.",
        ),
    };
    README
        .replace("{{language}}", language.label())
        .replace("{{source}}", source)
        .replace("{{files}}\n", &format!("{files}\n"))
        .replace("{{tests}}", tests)
}
