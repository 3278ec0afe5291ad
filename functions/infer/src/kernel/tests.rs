//! The references, computed by hand, and what is refused.

use std::time::Duration;

use super::*;

fn tensor(name: &str, dims: &[u32], values: &[f32]) -> Tensor {
    Tensor::from_f32(name, dims.to_vec(), values).unwrap()
}

#[track_caller]
fn check(kernel: Kernel, inputs: &[Tensor], dims: &[u32], expected: &[f32]) {
    let refs: Vec<&Tensor> = inputs.iter().collect();
    let call = kernel.check(&refs).unwrap();
    assert_eq!(call.dims, dims);
    let values: Vec<_> = inputs.iter().map(|input| input.to_f32().unwrap()).collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    assert_eq!(call.reference(&values, deadline).unwrap(), expected);
    if kernel != Kernel::AddRelu {
        assert_eq!(call.reference(&values, Instant::now()), None);
    }
}

#[test]
fn references_give_what_the_formula_gives() {
    let a = tensor("a", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let b = tensor("b", &[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, -1.0]);
    // [1 + 3, 2 - 3], [4 + 6, 5 - 6]
    check(Kernel::MatMul, &[a, b], &[2, 2], &[4.0, -1.0, 10.0, -1.0]);
    let x = tensor("x", &[1, 2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let w = tensor("w", &[2, 1, 2, 2], &[1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0]);
    let bias = tensor("bias", &[2], &[0.5, 1.5]);
    // Diagonals 1 + 5 and 2 + 6, plus 0.5; then 1.5 - 1, and 1.5 - 2 cut to 0.
    check(Kernel::ConvRelu, &[x, w, bias], &[2, 1, 2], &[6.5, 8.5, 0.5, 0.0]);
    let (a, b) = (tensor("a", &[2], &[1.0, -3.0]), tensor("b", &[2], &[1.0, 2.0]));
    check(Kernel::AddRelu, &[a, b], &[2], &[2.0, 0.0]);
}

#[test]
fn inputs_that_do_not_fit_are_told_with_what_would() {
    let refused = |kernel: Kernel, inputs: &[Tensor]| {
        let refs: Vec<&Tensor> = inputs.iter().collect();
        kernel.check(&refs).unwrap_err().to_string()
    };
    let ones = |name: &str, dims: &[u32]| {
        tensor(name, dims, &vec![1.0; dims.iter().product::<u32>() as usize])
    };
    let error = refused(Kernel::MatMul, &[ones("a", &[2, 3]), ones("b", &[2, 2])]);
    assert!(error.contains("\"b\" of kernel/matmul is [3, 2], not [2, 2]"), "{error}");
    let window = ones("w", &[1, 1, 9, 1]);
    let error = refused(Kernel::ConvRelu, &[ones("x", &[1, 8, 8]), window, ones("bias", &[1])]);
    assert!(error.contains("is [1, 1, 8, 1], not [1, 1, 9, 1]"), "{error}");
    let bytes = Tensor::new("b", vec![1], Kind::U8, vec![0]).unwrap();
    let error = refused(Kernel::AddRelu, &[ones("a", &[1]), bytes]);
    assert!(error.contains("is of f32, not of u8"), "{error}");
    // Outer products grow by the square.
    let error = refused(Kernel::MatMul, &[ones("a", &[5000, 1]), ones("b", &[1, 5000])]);
    assert!(error.contains("needs 100000000 bytes"), "{error}");
}

#[test]
fn kernels_are_found_by_name() {
    for kernel in Kernel::ALL {
        assert_eq!(Kernel::named(&kernel.name()), Some(kernel));
    }
    assert_eq!(Kernel::named("matmul"), None);
    assert_eq!(Kernel::named("kernel/fft"), None);
}
