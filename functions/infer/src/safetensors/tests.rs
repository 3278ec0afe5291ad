//! What is read, what is refused, and that both sides of the format agree.

use proptest::prelude::*;

use super::*;

fn bytes_of(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

#[track_caller]
fn refused(bytes: &[u8], part: &str) {
    let error = decode(bytes).unwrap_err().to_string();
    assert!(error.contains(part), "{error}");
}

fn one_of_each() -> Vec<Tensor> {
    let tensor = |(index, kind): (usize, Kind)| {
        let count = u32::try_from(index).unwrap() + 1;
        let data = (0..u8::MAX).cycle().take(usize::try_from(kind.bytes()).unwrap() * (index + 1));
        Tensor::new(format!("tensor {kind} \"π\""), vec![1, count], kind, data.collect()).unwrap()
    };
    Kind::ALL.into_iter().enumerate().map(tensor).collect()
}

#[test]
fn every_kind_comes_back_in_its_order() {
    let tensors = one_of_each();
    assert_eq!(decode(&encode(&tensors)).unwrap(), tensors);
    assert_eq!(decode(&encode::<Tensor>(&[])).unwrap(), []);
    let scalar = Tensor::new("s", Vec::new(), Kind::U8, vec![7]).unwrap();
    assert_eq!(decode(&encode(std::slice::from_ref(&scalar))).unwrap(), [scalar]);
}

/// A file that version 0.8.0 of the library of the format has written, with metadata.
#[test]
fn what_the_library_of_the_format_writes_is_read() {
    let tensors = decode(include_bytes!("library.safetensors")).unwrap();
    let data = [1, 2, 3, 4, 5, 6, 7, 8];
    let tensor = |name, dims, kind| Tensor::new(name, dims, kind, data.to_vec()).unwrap();
    assert_eq!(tensors, [tensor("a", vec![2, 2], Kind::F16), tensor("b", vec![8], Kind::U8)]);
}

#[test]
fn elements_of_every_kind_are_aligned() {
    let tensors = one_of_each();
    let bytes = encode(&tensors);
    let (header, data) = split(&bytes).unwrap();
    assert_eq!((bytes.len() - data.len()) % 8, 0);
    let header: Header = serde_json::from_slice(header).unwrap();
    for ((_, entry), tensor) in header.0.iter().zip(&tensors) {
        assert_eq!(entry.data_offsets.0 % tensor.kind().bytes(), 0);
    }
}

#[test]
fn headers_are_bounded_and_whole() {
    refused(&[1, 0, 0], "the header ends at byte 8, but there are 3 bytes");
    refused(&[1, 0, 0, 0, 0, 0, 0, 0], "the header ends at byte 9, but there are 8 bytes");
    refused(&u64::MAX.to_le_bytes(), "the header has 18446744073709551615 bytes, at most 131072");
    refused(&bytes_of("[]", &[]), "an object with an entry for each tensor");
    refused(&bytes_of("{", &[]), "EOF");
    refused(&bytes_of("{} {}", &[]), "trailing characters");
    refused(
        &bytes_of(r#"{"x":{"dtype":"U8","shape":[1]}}"#, &[]),
        "tensor \"x\": missing field `data_offsets`",
    );
    refused(
        &bytes_of(r#"{"x":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#, &[1]),
        "tensor \"x\": invalid value",
    );
    let extra = r#"{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"z":1}}"#;
    refused(&bytes_of(extra, &[1]), "unknown field `z`");
}

#[test]
fn names_are_there_once_and_not_too_many() {
    let entry = r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    refused(&bytes_of(&format!(r#"{{"x":{entry},"x":{entry}}}"#), &[1]), "\"x\" is there twice");
    refused(&bytes_of(r#"{"__metadata__":{},"__metadata__":{}}"#, &[]), "is there twice");
    let tensor = |index| Tensor::new(format!("t{index}"), vec![1], Kind::U8, vec![1]).unwrap();
    let most: Vec<_> = (0..TENSORS_MAX).map(tensor).collect();
    assert_eq!(decode(&encode(&most)).unwrap(), most);
    let more: Vec<_> = (0..=TENSORS_MAX).map(tensor).collect();
    refused(&encode(&more), "more than 64 tensors");
    let longest = |index| {
        Tensor::new(format!("{index:03}{}", "\"".repeat(125)), vec![1], Kind::U8, vec![1]).unwrap()
    };
    let longest: Vec<_> = (0..TENSORS_MAX).map(longest).collect();
    assert_eq!(decode(&encode(&longest)).unwrap(), longest);
    let long = format!(r#"{{"{}":{entry}}}"#, "n".repeat(129));
    refused(&bytes_of(&long, &[1]), "a tensor is named by 1 to 128 bytes");
}

#[test]
fn data_is_there_once_and_without_gaps() {
    let two = |one: (u64, u64), other: (u64, u64)| {
        let entry = |(begin, end): (u64, u64)| {
            format!(r#"{{"dtype":"U8","shape":[2],"data_offsets":[{begin},{end}]}}"#)
        };
        bytes_of(&format!(r#"{{"x":{},"y":{}}}"#, entry(one), entry(other)), &[1, 2, 3, 4])
    };
    assert_eq!(decode(&two((2, 4), (0, 2))).unwrap()[0].data(), [3, 4]);
    refused(&two((0, 2), (1, 3)), "\"y\" is at bytes 1 to 3, but it has to begin at 2");
    refused(&two((0, 2), (0, 2)), "\"y\" is at bytes 0 to 2, but it has to begin at 2");
    refused(&two((0, 1), (2, 4)), "\"y\" is at bytes 2 to 4, but it has to begin at 1");
    refused(&two((0, 2), (2, 5)), "has to begin at 2 and to end within 4");
    refused(&two((0, 2), (2, 1)), "\"y\" is at bytes 2 to 1");
    refused(&two((0, 2), (2, u64::MAX)), "to end within 4");
    refused(&two((0, 2), (2, 3)), "the tensors end at byte 3 of the data, but there are 4 bytes");
    refused(&two((0, 1), (1, 4)), "tensor \"x\" of u8 [2] needs 2 bytes, but 1 are given");
}

#[test]
fn tensors_are_of_known_kinds_and_bounded() {
    let header = |dtype, shape| {
        format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,8]}}}}"#)
    };
    refused(
        &bytes_of(&header("F64", "[1]"), &[0; 8]),
        "tensor \"x\" is of \"F64\", only U8, I32, I64, F16 and F32",
    );
    refused(&bytes_of(&header("F32", "[1,1,1,1,1,1,1,1,2]"), &[0; 8]), "has 9 dimensions");
    refused(
        &bytes_of(&header("F32", "[16777216]"), &[0; 8]),
        "needs 67108864 bytes, but 8 are given",
    );
    refused(
        &bytes_of(&header("F32", "[4294967295,4294967295,4294967295]"), &[0; 8]),
        "more than 2^64 bytes",
    );
    refused(&bytes_of(&header("F32", "[4294967296]"), &[0; 8]), "tensor \"x\": invalid value");
    let empty = r#"{"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#;
    refused(&bytes_of(empty, &[]), "has no elements");
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        drop(decode(&bytes));
        // Most of those end at their length; with one that fits, the header is read.
        let header = String::from_utf8_lossy(&bytes).into_owned();
        drop(decode(&bytes_of(&header, &bytes)));
    }

    #[test]
    fn a_changed_piece_is_read_or_refused(
        at in 0_usize..1000,
        value in any::<u8>(),
        cut in 0_usize..1000,
    ) {
        let mut bytes = encode(&one_of_each());
        let length = bytes.len();
        bytes[at % length] = value;
        if let Ok(tensors) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&tensors)).unwrap(), tensors);
        }
        bytes.truncate(cut % length);
        prop_assert!(decode(&bytes).is_err());
    }
}
