//! What the bench asks of the functions: the sizes of the published suite where it tells them (fibonacci, texts, mandelbrot, resize),
//! and sizes that take about as long for the others.

use alloc::format;
use alloc::vec::Vec;

use crate::{Input, cipher};

pub(crate) const HELLO: [Input; 1] = [Input { label: "-", body: Vec::new }];
pub(crate) const FIBONACCI: [Input; 2] = [
    Input { label: "10000", body: || b"10000".to_vec() },
    Input { label: "2500000", body: || b"2500000".to_vec() },
];
pub(crate) const AUDIO: [Input; 2] = [
    Input { label: "1 s", body: || b"1".to_vec() },
    Input { label: "30 s", body: || b"30".to_vec() },
];
pub(crate) const RESIZE: [Input; 2] =
    [Input { label: "1.5", body: || image("1.5") }, Input { label: "3.0", body: || image("3.0") }];
pub(crate) const FUZZY: [Input; 2] = [
    Input { label: "1 KiB", body: || pattern_and_text(1) },
    Input { label: "2048 KiB", body: || pattern_and_text(2_048) },
];
pub(crate) const PRIMES: [Input; 2] = [
    Input { label: "10000", body: || b"10000".to_vec() },
    Input { label: "5000000", body: || b"5000000".to_vec() },
];
pub(crate) const LANGUAGE: [Input; 2] =
    [Input { label: "1 KiB", body: || text(1) }, Input { label: "2048 KiB", body: || text(2_048) }];
pub(crate) const PLANETS: [Input; 2] = [
    Input { label: "1000", body: || b"1000".to_vec() },
    Input { label: "500000", body: || b"500000".to_vec() },
];
pub(crate) const ENCRYPT: [Input; 2] = [
    Input { label: "1 KiB", body: || sealed_head(text(1)) },
    Input { label: "2048 KiB", body: || sealed_head(text(2_048)) },
];
pub(crate) const DECRYPT: [Input; 2] = [
    Input { label: "1 KiB", body: || sealed(1) },
    Input { label: "2048 KiB", body: || sealed(2_048) },
];
pub(crate) const MANDELBROT: [Input; 2] = [
    Input { label: "128", body: || b"128".to_vec() },
    Input { label: "2048", body: || b"2048".to_vec() },
];

/// The first articles of the Universal Declaration of Human Rights.
const ARTICLES: &str = "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience \
    and should act towards one another in a spirit of brotherhood. Everyone is entitled to all the rights and freedoms set forth in \
    this Declaration, without distinction of any kind, such as race, colour, sex, language, religion, political or other opinion, \
    national or social origin, property, birth or other status. Everyone has the right to life, liberty and security of person. No one \
    shall be held in slavery or servitude; slavery and the slave trade shall be prohibited in all their forms.\n";
/// Sides of the image that is scaled: three times as large it just fits into a body.
const SIDE: u32 = 512;

fn text(kib: usize) -> Vec<u8> {
    ARTICLES.bytes().cycle().take(kib * 1_024).collect()
}

fn pattern_and_text(kib: usize) -> Vec<u8> {
    [b"servitud\n2\n", &text(kib)[..]].concat()
}

/// Key, nonce and nothing beside the text.
fn sealed_head(text: Vec<u8>) -> Vec<u8> {
    [&[7; 32][..], &[9; 12], &[0], &text].concat()
}

fn sealed(kib: usize) -> Vec<u8> {
    let text = cipher::encrypt(&sealed_head(text(kib)));
    sealed_head(text.expect("a text of 2 MiB can be encrypted"))
}

/// Rings on a slope: smooth places and edges.
fn image(factor: &str) -> Vec<u8> {
    let mut body = format!("{factor}\nP6\n{SIDE} {SIDE}\n255\n").into_bytes();
    for y in 0..SIDE {
        for x in 0..SIDE {
            let ring = (x * x + y * y) / 4_096 % 2 * 255;
            let channels = [x / 2, y / 2, ring].map(|value| u8::try_from(value).unwrap_or(u8::MAX));
            body.extend(channels);
        }
    }
    body
}
