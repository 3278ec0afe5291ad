//! The folders of functions without sources: a model, a kernel.

use infer::{Tensor, safetensors};

use super::{File, Language, WIT, sorted};
use crate::cli::folder::MANIFEST;

const ONNX: [&str; 2] = [
    include_str!("../../../../../functions/templates/onnx/function.toml"),
    include_str!("../../../../../functions/templates/onnx/README.md"),
];
const KERNEL: [&str; 2] = [
    include_str!("../../../../../functions/templates/kernel/function.toml"),
    include_str!("../../../../../functions/templates/kernel/README.md"),
];
/// What tells of limits and of what the author says.
const ABI: &str = "wit/ABI.md";
/// A model that each back end has run before it was used: the one of the probe.
const MODEL: &[u8] = include_bytes!("../../../../../functions/infer/src/probe/model.onnx");

/// All files of such a function, in order of their paths.
pub(super) fn files(language: Language, fill: impl Fn(&str) -> Vec<u8>) -> Vec<File> {
    let is_model = language == Language::Onnx;
    let [manifest, readme] = if is_model { ONNX } else { KERNEL };
    let request = if is_model {
        vec![tensor("x", &[1, 1, 4, 4])]
    } else {
        vec![tensor("a", &[2, 3]), tensor("b", &[3, 2])]
    };
    let mut files: Vec<File> = vec![
        ("README.md", fill(readme)),
        (MANIFEST, fill(manifest)),
        ("request.safetensors", safetensors::encode(&request)),
    ];
    // What `function.toml` may say; there is no contract to be built against.
    files.extend(
        WIT.iter().filter(|(path, _)| *path == ABI).map(|(path, text)| (*path, (*text).into())),
    );
    if is_model {
        files.push(("model.onnx", MODEL.into()));
    }
    sorted(files)
}

/// Values 0, 0.25, 0.5 and so on.
fn tensor(name: &str, dims: &[u32]) -> Tensor {
    let count = u16::try_from(dims.iter().product::<u32>()).expect("a few");
    let values: Vec<f32> = (0..count).map(|index| f32::from(index) / 4.0).collect();
    Tensor::from_f32(name, dims.to_vec(), &values).expect("a small tensor")
}
