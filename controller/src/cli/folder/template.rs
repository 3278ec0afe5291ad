//! What `starbelt fn new` writes: the contract, the guest crate and a first source, as they were when this program was built.

mod program;

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
    /// No source: an ONNX model.
    Onnx,
    /// No source: a kernel that nodes have built in.
    Kernel,
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
pub(super) type File = (&'static str, Vec<u8>);

impl Language {
    /// What it is called in a sentence.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::RustStd => "Rust with its standard library",
            Self::C => "C",
            Self::Onnx => "an ONNX model",
            Self::Kernel => "a kernel",
        }
    }

    /// What `fn new` says that it made.
    pub(super) fn made(self) -> String {
        match self {
            Self::Onnx => "a function that is a model".to_owned(),
            Self::Kernel => "a function that is a kernel of the nodes".to_owned(),
            _ => format!("a function in {}", self.label()),
        }
    }
}

/// All files of a new function, in order of their paths.
pub(super) fn files(name: &FunctionId, language: Language) -> Vec<File> {
    let fill = |text: &str| text.replace("{{name}}", name.as_str()).into_bytes();
    let (manifest, source) = match language {
        Language::Rust => (RUST[0], RUST[1]),
        Language::RustStd => (RUST_STD[0], RUST_STD[1]),
        Language::C => ("", C),
        Language::Onnx | Language::Kernel => return program::files(language, fill),
    };
    let mut files: Vec<File> = vec![
        (".gitignore", GITIGNORE.into()),
        ("README.md", fill(&readme(language))),
        (super::MANIFEST, fill(MANIFEST)),
    ];
    files.extend(WIT.map(|(path, text)| (path, text.into())));
    if language == Language::C {
        files.push(("src/function.c", source.into()));
        return sorted(files);
    }
    let lock = LOCK.replace("{{version}}", env!("CARGO_PKG_VERSION"));
    files.push(("Cargo.toml", fill(manifest)));
    files.push(("Cargo.lock", fill(&lock)));
    files.push(("src/lib.rs", source.into()));
    files.push(("sdk/Cargo.toml", sdk_manifest().into_bytes()));
    files.extend(SDK.map(|(path, text)| (path, text.into())));
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
        Language::C | Language::Onnx | Language::Kernel => {
            ("`src/function.c` | the function", "", "")
        }
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
