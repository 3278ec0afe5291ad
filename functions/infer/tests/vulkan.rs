//! Kernels over Vulkan, on whatever adapter there is; on Mesa's lavapipe that is software Vulkan, for correctness only.

#[path = "support/node.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod node;

use std::io::Write as _;
use std::sync::Arc;

use infer::backend::{Backend, Vulkan};
use infer::health::Standing;
use infer::kernel::Kernel;
use infer::{Event, Tensor};
use node::{Node, Result, f32s, values};
use types::{Backend as Processor, ExecutionMode};

const NAME: &str = "gpu-vulkan";

/// A node with the adapter of this machine; `None`, said past the harness, where there is none. CI has to have one.
fn node() -> Result<Option<(Node, Arc<Vulkan>)>> {
    let vulkan = Arc::new(Vulkan::for_correctness());
    if let Err(failure) = vulkan.open() {
        let test = std::thread::current().name().unwrap_or("vulkan").to_owned();
        assert!(std::env::var_os("CI").is_none(), "CI has no Vulkan adapter: {failure}");
        writeln!(std::io::stdout(), "skipped: {test}: {failure} (Debian: mesa-vulkan-drivers)")?;
        return Ok(None);
    }
    Ok(Some((Node::with(vec![Arc::<Vulkan>::clone(&vulkan)])?, vulkan)))
}

fn pattern(name: &str, dims: &[u32], step: u32) -> Tensor {
    let count = dims.iter().product::<u32>();
    let value = |i: u32| f32::from(u16::try_from(i * step % 31).unwrap_or_default()) / 16.0 - 1.0;
    f32s(name, dims, &(0..count).map(value).collect::<Vec<_>>())
}

#[test]
fn kernels_agree_with_their_references() -> Result {
    let Some((node, _)) = node()? else { return Ok(()) };
    let Standing::Advertised { device } = node.standing(NAME) else {
        panic!("{:?}", node.standing(NAME))
    };
    writeln!(std::io::stdout(), "on {device}")?;
    let calls = [
        (Kernel::MatMul, vec![pattern("a", &[65, 130], 7), pattern("b", &[130, 47], 11)]),
        (Kernel::MatMul, vec![pattern("a", &[1, 1], 7), pattern("b", &[1, 300], 11)]),
        (
            Kernel::ConvRelu,
            vec![
                pattern("x", &[3, 40, 33], 7),
                pattern("w", &[6, 3, 5, 3], 11),
                pattern("bias", &[6], 3),
            ],
        ),
        (Kernel::AddRelu, vec![pattern("a", &[7, 1001], 7), pattern("b", &[7, 1001], 11)]),
    ];
    for (kernel, inputs) in calls {
        let run = |mode| {
            let order: Vec<Tensor> = inputs.iter().rev().cloned().collect();
            node.run(&kernel.name(), order, mode)
        };
        let (gpu, cpu) = (run(ExecutionMode::Gpu)?, run(ExecutionMode::Cpu)?);
        assert_eq!(gpu.timing.processor, Processor::InferGpu);
        assert_eq!(cpu.timing.processor, Processor::InferCpu);
        let (gpu, cpu) = (values(&gpu), values(&cpu));
        let error = gpu.iter().zip(&cpu).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(gpu.len() == cpu.len() && error <= 1e-3, "{kernel:?} is off by {error}");
    }
    Ok(())
}

#[test]
fn a_second_row_of_workgroups_is_computed() -> Result {
    let Some((node, _)) = node()? else { return Ok(()) };
    // 65535 groups of 256 and one more; a tensor of 64 MiB has just that many values.
    let count = 65_535 * 256 + 5;
    let a = pattern("a", &[count], 7);
    let b = f32s("b", &[count], &vec![0.5; count as usize]);
    let tensors = || vec![a.clone(), b.clone()];
    let gpu = node.run("kernel/add-relu", tensors(), ExecutionMode::Gpu)?;
    let cpu = node.run("kernel/add-relu", tensors(), ExecutionMode::Cpu)?;
    assert!(values(&gpu) == values(&cpu));
    Ok(())
}

#[test]
fn a_device_that_is_lost_is_left_alone_and_comes_back() -> Result {
    let Some((node, vulkan)) = node()? else { return Ok(()) };
    let inputs = || vec![pattern("a", &[20, 20], 7), pattern("b", &[20, 20], 11)];
    let before = node.run("kernel/matmul", inputs(), ExecutionMode::GpuPreferred)?;
    assert_eq!(before.timing.processor, Processor::InferGpu);
    node.events();
    vulkan.destroy_device();
    let answer = node.run("kernel/matmul", inputs(), ExecutionMode::GpuPreferred)?;
    assert_eq!(answer.timing.processor, Processor::InferCpu);
    let close = values(&answer).iter().zip(values(&before)).all(|(a, b)| (a - b).abs() <= 1e-3);
    assert!(close);
    let events = node.events();
    assert!(
        matches!(events.as_slice(), [Event::Demoted { .. }, Event::FellBack { .. }]),
        "{events:?}"
    );
    // After its time out a new device is opened, probed and used.
    node.wait_until(|node| {
        let answer = node.run("kernel/matmul", inputs(), ExecutionMode::GpuPreferred);
        answer.is_ok_and(|answer| answer.timing.processor == Processor::InferGpu)
    });
    Ok(())
}

#[test]
fn software_is_not_taken_for_a_graphics_processor() -> Result {
    let Some((correct, _)) = node()? else { return Ok(()) };
    let Standing::Advertised { device } = correct.standing(NAME) else { panic!("not advertised") };
    let is_software = device.contains("software Vulkan, for correctness only");
    let node = Node::with(vec![Arc::new(Vulkan::new())])?;
    match node.standing(NAME) {
        Standing::Out { reason, .. } if is_software => {
            assert!(reason.contains("the only Vulkan adapter is"), "{reason}");
        }
        standing => assert_eq!(is_software, !matches!(standing, Standing::Advertised { .. })),
    }
    Ok(())
}
