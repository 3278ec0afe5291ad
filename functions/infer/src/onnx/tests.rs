//! What a model takes, gives and needs, and what is refused of the unsound: truncated, cyclic, huge, and all kinds of garbage.

#[path = "../../tests/support/onnx.rs"]
mod build;

use build::{Message, int, ints, linear, model, node, port, raw_weight, shape, weight};

use super::*;

#[track_caller]
fn refused(model: &[u8], part: &str) {
    let reason = check(model).expect_err(part).to_string();
    assert!(reason.contains(part), "{reason}");
}

/// A model that makes y of x.
fn with(nodes: &[Message], weights: &[Message], x: &[i64]) -> Vec<u8> {
    model(nodes, weights, &[port("x", x)], &[port("y", &[1])])
}

/// The dimensions of y.
#[track_caller]
fn gives(nodes: &[Message], weights: &[Message], x: &[i64], y: &[u32]) {
    let facts = check(&with(nodes, weights, x)).unwrap();
    assert_eq!(facts.outputs[0].dims, y);
}

#[test]
fn facts_of_a_layer_add_up() {
    let facts = check(&linear()).unwrap();
    let port = |name: &str, dims: &[u32]| Port {
        name: name.to_owned(),
        dims: dims.to_vec(),
        kind: Kind::F32,
    };
    assert_eq!(facts.inputs, [port("x", &[1, 3])]);
    assert_eq!(facts.outputs, [port("y", &[1, 2])]);
    assert_eq!((facts.weight_bytes, facts.value_bytes, facts.macs), (4 * 8, 4 * 2, 6));
    // The convolution makes 8 values of windows of 9, the product 3 of 8.
    let facts = check(&build::probe()).unwrap();
    assert_eq!((facts.weight_bytes, facts.macs), (4 * (18 + 2 + 24 + 3), 72 + 8 + 8 + 24));
}

#[test]
fn shapes_follow_from_shapes() {
    let nothing: [Message; 0] = [];
    let kernel = [weight("w", &[4, 2, 3, 3], &[0.0; 72])];
    let conv = |attributes: &[Message]| [node("Conv", &["x", "w"], "y", attributes)];
    gives(&conv(&[]), &kernel, &[1, 2, 8, 9], &[1, 4, 6, 7]);
    let strided = [ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])];
    gives(&conv(&strided), &kernel, &[1, 2, 8, 9], &[1, 4, 4, 5]);
    gives(&conv(&[ints("dilations", &[2, 3])]), &kernel, &[1, 2, 8, 9], &[1, 4, 4, 3]);
    let same = Message::default().bytes(1, "auto_pad").bytes(4, "SAME_UPPER").int(20, 3);
    gives(&conv(&[same, ints("strides", &[2, 2])]), &kernel, &[1, 2, 8, 9], &[1, 4, 4, 5]);
    let pool = [ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), int("ceil_mode", 1)];
    gives(&[node("MaxPool", &["x"], "y", &pool)], &nothing, &[1, 2, 8, 8], &[1, 2, 4, 4]);
    gives(&[node("GlobalAveragePool", &["x"], "y", &[])], &nothing, &[1, 2, 8, 8], &[1, 2, 1, 1]);
    let to = [shape("s", &[0, -1, 4])];
    gives(&[node("Reshape", &["x", "s"], "y", &[])], &to, &[2, 3, 8], &[2, 6, 4]);
    gives(&[node("Transpose", &["x"], "y", &[])], &nothing, &[2, 3, 4], &[4, 3, 2]);
    let axes = [shape("s", &[1, -1])];
    gives(&[node("Unsqueeze", &["x", "s"], "y", &[])], &axes, &[2, 3], &[2, 1, 3, 1]);
    gives(&[node("Squeeze", &["x"], "y", &[])], &nothing, &[2, 1, 3, 1], &[2, 3]);
    let flat = |axis| [node("Flatten", &["x"], "y", &[int("axis", axis)])];
    for (axis, y) in [(0, [1, 24]), (1, [2, 12]), (3, [24, 1]), (-1, [6, 4]), (-3, [1, 24])] {
        gives(&flat(axis), &nothing, &[2, 3, 4], &y);
    }
    let keeps = [ints("axes", &[-1]), int("keepdims", 0)];
    gives(&[node("ReduceMean", &["x"], "y", &keeps)], &nothing, &[2, 3], &[2]);
    gives(&[node("Concat", &["x", "x"], "y", &[int("axis", 1)])], &nothing, &[2, 3], &[2, 6]);
    let wide = [weight("b", &[4, 1], &[0.0; 4])];
    gives(&[node("Add", &["x", "b"], "y", &[])], &wide, &[2, 1, 3], &[2, 4, 3]);
    let batch = [weight("b", &[5, 3, 2], &[0.0; 30])];
    gives(&[node("MatMul", &["x", "b"], "y", &[])], &batch, &[4, 3], &[5, 4, 2]);
    let facts = check(&with(&[node("ArgMax", &["x"], "y", &[int("axis", 1)])], &nothing, &[2, 9]));
    assert_eq!(
        facts.unwrap().outputs[0],
        Port { name: "y".into(), dims: vec![2, 1], kind: Kind::I64 }
    );
}

#[test]
fn every_prefix_of_a_model_is_refused() {
    for sound in [linear(), build::probe()] {
        assert!(check(&sound).is_ok());
        // The operator set is what ends a file here; all before it is needed, too.
        for length in 0..sound.len() {
            assert!(check(&sound[..length]).is_err(), "{length} of {} bytes", sound.len());
        }
    }
}

#[test]
fn no_changed_byte_makes_it_panic() {
    let sound = build::probe();
    for at in 0..sound.len() {
        for value in [0x00, 0x7f, 0x80, 0xff, sound[at] ^ 1, sound[at] ^ 0x10] {
            let mut changed = sound.clone();
            changed[at] = value;
            // Some are sound models with another number in them.
            let facts = check(&changed);
            assert!(facts.is_err() || facts.is_ok_and(|facts| facts.value_bytes < 1 << 20));
        }
    }
    refused(b"", "no graph");
    refused(&[0xff; 64], "middle of a field");
    refused(&vec![0x08; 3_000_000], "more than 1000000 fields");
}

#[test]
fn cycles_and_values_from_nowhere_are_refused() {
    let nothing: [Message; 0] = [];
    let cycle = [node("Relu", &["b"], "a", &[]), node("Relu", &["a"], "b", &[])];
    refused(&with(&cycle, &nothing, &[1]), "the graph has a cycle");
    let own = [node("Add", &["x", "y"], "y", &[])];
    refused(&with(&own, &nothing, &[1]), "the graph has a cycle");
    refused(&with(&[node("Relu", &["z"], "y", &[])], &nothing, &[1]), "which nothing makes");
    let twice = [node("Relu", &["x"], "y", &[]), node("Relu", &["x"], "y", &[])];
    refused(&with(&twice, &nothing, &[1]), "made twice");
    refused(&with(&[node("Relu", &["x"], "z", &[])], &nothing, &[1]), "nothing makes its output");
}

#[test]
fn huge_declarations_are_refused_before_anything_is_allocated() {
    let nothing: [Message; 0] = [];
    let relu = [node("Relu", &["x"], "y", &[])];
    refused(&with(&relu, &nothing, &[1 << 20, 1 << 20]), "has more than 67108864 bytes");
    refused(&with(&relu, &nothing, &[i64::MAX, 2]), "each from 1");
    refused(&with(&relu, &nothing, &[-1]), "each from 1");
    refused(&with(&relu, &nothing, &[0]), "each from 1");
    let tensor = |dims: &[i64], raw: &[u8]| [raw_weight("w", dims, build::F32, raw)];
    let add = [node("Add", &["x", "w"], "y", &[])];
    refused(&with(&add, &tensor(&[1 << 30, 4], &[]), &[1]), "has more than 67108864 bytes");
    refused(&with(&add, &tensor(&[4], &[0; 15]), &[1]), "needs 16 bytes, its data 15 bytes");
    // Nobody declares much here; operators make it.
    let outer = [node("Transpose", &["x"], "t", &[]), node("MatMul", &["x", "t"], "y", &[])];
    refused(&with(&outer, &nothing, &[1 << 20, 1]), "at most 536870912");
    let mut doubling: Vec<Message> = Vec::new();
    let names: Vec<String> = (0..60).map(|i| format!("v{i}")).collect();
    let mut last = "x";
    for name in &names {
        doubling.push(node("Concat", &[last, last], name, &[int("axis", 0)]));
        last = name;
    }
    refused(&with(&doubling, &nothing, &[1]), "at most 536870912");
    // The weights are small, but a library may believe the other declaration.
    let lie = [node("Conv", &["x", "k"], "y", &[ints("kernel_shape", &[1 << 20, 1])])];
    let kernel = [weight("k", &[1, 1, 1, 1], &[1.0])];
    refused(&with(&lie, &kernel, &[1, 1, 4, 4]), "cannot be convolved");
    let pads = [ints("kernel_shape", &[1, 1]), ints("pads", &[1 << 40, 0, 0, 0])];
    let pool = [node("AveragePool", &["x"], "y", &pads)];
    refused(&with(&pool, &nothing, &[1, 1, 4, 4]), "from 0 to 4096");
}

#[test]
fn work_without_end_is_refused() {
    // 60 products of 1600 × 1600 matrices: 2.5e11.
    let names: Vec<String> = (0..60).map(|i| format!("v{i}")).collect();
    let mut nodes = Vec::new();
    let mut last = "x";
    for name in &names {
        nodes.push(node("MatMul", &[last, "x"], name, &[]));
        last = name;
    }
    nodes.push(node("Relu", &[last], "y", &[]));
    let nothing: [Message; 0] = [];
    refused(&with(&nodes, &nothing, &[1600, 1600]), "multiply-accumulates, at most 150000000000");
    let many = vec![node("Relu", &["x"], "y", &[]); 4097];
    refused(&with(&many, &nothing, &[1]), "more than 4096 operators");
}

#[test]
fn what_is_not_understood_is_refused() {
    let nothing: [Message; 0] = [];
    let op = |op: &str| with(&[node(op, &["x"], "y", &[])], &nothing, &[1]);
    for unknown in ["Loop", "If", "Range", "ConstantOfShape", "NonZero", "Expand", "Tile"] {
        refused(&op(unknown), &format!("the operator {unknown} is not understood"));
    }
    let foreign = node("Relu", &["x"], "y", &[]).bytes(7, "com.microsoft");
    refused(&with(&[foreign], &nothing, &[1]), "operators of \"com.microsoft\"");
    let body = Message::default().bytes(1, "body").bytes(6, "graph");
    refused(&with(&[node("Relu", &["x"], "y", &[body])], &nothing, &[1]), "holds a graph");
    let elsewhere = weight("w", &[1], &[1.0]).bytes(13, "key").int(14, 1);
    let add = [node("Add", &["x", "w"], "y", &[])];
    refused(&with(&add, &[elsewhere], &[1]), "lies in another file");
    let double = [raw_weight("w", &[1], 11, &[0; 8])];
    refused(&with(&add, &double, &[1]), "elements of ONNX type 11");
    let open = Message::default().bytes(1, Message::default().bytes(2, "batch"));
    let tensor = Message::default().int(1, 1).bytes(2, open);
    let input = Message::default().bytes(1, "x").bytes(2, Message::default().bytes(1, tensor));
    let relu = [node("Relu", &["x"], "y", &[])];
    let open = model(&relu, &nothing, &[input], &[port("y", &[1])]);
    refused(&open, "input \"x\" has the open dimension \"batch\"");
    let mut twice = linear();
    twice.extend(linear());
    refused(&twice, "there are two");
    let old = Message::default().bytes(8, Message::default().int(2, 6)).bytes(7, b"");
    refused(&old.0, "its operator set is 6, understood are 7 to 21");
}
