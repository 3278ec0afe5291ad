//! Writes ONNX models, byte by byte as the format of protocol buffers says; field numbers are those of `onnx.proto`.

/// A message under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while 0x80 <= value {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    /// A number.
    pub(crate) fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value.cast_unsigned());
        self
    }

    /// Bytes, a text or a message.
    pub(crate) fn bytes(mut self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// ONNX's number for single precision.
pub(crate) const F32: i64 = 1;
/// ONNX's number for integers of 64 bits.
pub(crate) const I64: i64 = 7;

/// A tensor of single precision.
pub(crate) fn weight(name: &str, dims: &[i64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    raw_weight(name, dims, F32, &raw)
}

/// A tensor of integers of 64 bits.
pub(crate) fn shape(name: &str, values: &[i64]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let count = i64::try_from(values.len()).expect("a short list");
    raw_weight(name, &[count], I64, &raw)
}

/// A tensor with these bytes, fitting or not.
pub(crate) fn raw_weight(name: &str, dims: &[i64], kind: i64, raw: &[u8]) -> Message {
    let dims = dims.iter().fold(Message::default(), |message, dim| message.int(1, *dim));
    dims.int(2, kind).bytes(8, name).bytes(9, raw)
}

/// An operator.
pub(crate) fn node(op: &str, inputs: &[&str], output: &str, attributes: &[Message]) -> Message {
    let node = inputs.iter().fold(Message::default(), |node, input| node.bytes(1, input));
    let node = node.bytes(2, output).bytes(4, op);
    attributes.iter().fold(node, |node, attribute| node.bytes(5, attribute))
}

/// An attribute that is a number.
pub(crate) fn int(name: &str, value: i64) -> Message {
    Message::default().bytes(1, name).int(3, value).int(20, 2)
}

/// An attribute that is a list of numbers.
pub(crate) fn ints(name: &str, values: &[i64]) -> Message {
    let list = Message::default().bytes(1, name);
    values.iter().fold(list, |list, value| list.int(8, *value)).int(20, 7)
}

/// An input or output of single precision.
pub(crate) fn port(name: &str, dims: &[i64]) -> Message {
    port_of(F32, name, dims)
}

/// An input or output.
pub(crate) fn port_of(kind: i64, name: &str, dims: &[i64]) -> Message {
    let dim = |dim: &i64| Message::default().int(1, *dim);
    let shape = dims.iter().fold(Message::default(), |shape, d| shape.bytes(1, dim(d)));
    let tensor = Message::default().int(1, kind).bytes(2, shape);
    Message::default().bytes(1, name).bytes(2, Message::default().bytes(1, tensor))
}

/// A model of these parts.
pub(crate) fn model(
    nodes: &[Message],
    weights: &[Message],
    inputs: &[Message],
    outputs: &[Message],
) -> Vec<u8> {
    let add = |graph, field, parts: &[Message]| {
        parts.iter().fold(graph, |graph: Message, part| graph.bytes(field, part))
    };
    let graph = add(Message::default(), 1, nodes).bytes(2, "graph");
    let graph = add(add(add(graph, 5, weights), 11, inputs), 12, outputs);
    let opset = Message::default().bytes(1, "").int(2, 13);
    Message::default().int(1, 8).bytes(7, graph).bytes(8, opset).0
}

/// y = x · w + b of x \[1, 3\]: w is \[\[1, 2\], \[3, 4\], \[5, 6\]\], b is \[0.5, -0.5\].
pub(crate) fn linear() -> Vec<u8> {
    model(
        &[node("Gemm", &["x", "w", "b"], "y", &[])],
        &[weight("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), weight("b", &[2], &[0.5, -0.5])],
        &[port("x", &[1, 3])],
        &[port("y", &[1, 2])],
    )
}

/// The model of the probe: a convolution, cut at 0, flattened, and a matrix product.
pub(crate) fn probe() -> Vec<u8> {
    let eighths = |count: u16, step: u16, from: u16, modulo: u16, minus: f32| -> Vec<f32> {
        let value = |i| f32::from((step * i + from) % modulo) - minus;
        (0..count).map(|i| value(i) / 8.0).collect()
    };
    model(
        &[
            node("Conv", &["x", "w", "bias"], "conv", &[ints("kernel_shape", &[3, 3])]),
            node("Relu", &["conv"], "cut", &[]),
            node("Flatten", &["cut"], "flat", &[int("axis", 1)]),
            node("Gemm", &["flat", "g", "c"], "y", &[]),
        ],
        &[
            weight("w", &[2, 1, 3, 3], &eighths(18, 7, 3, 11, 5.0)),
            weight("bias", &[2], &[2.5, 3.25]),
            weight("g", &[8, 3], &eighths(24, 3, 2, 7, 3.0)),
            weight("c", &[3], &[0.125, -0.125, 0.375]),
        ],
        &[port("x", &[1, 1, 4, 4])],
        &[port("y", &[1, 3])],
    )
}
