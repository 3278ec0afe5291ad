//! `audio`: a melody as a WAV file. Sines, and as many bytes out as a body holds.

use alloc::vec::Vec;
use core::f64::consts::TAU;

use crate::BadInput;
use crate::bad_input::number;

/// Samples of a second.
const RATE_HZ: u32 = 44_100;
/// Longest melody: 5.3 MB.
const SECONDS_MAX: u32 = 60;
/// Bytes of a RIFF header for PCM.
const HEADER_BYTES: u32 = 44;
/// Samples of a note: a quarter of a second.
const NOTE_SAMPLES: u32 = RATE_HZ / 4;
/// The notes, Hz: A minor, equal temperament.
const NOTES_HZ: [f64; 5] = [220.0, 261.625_565, 329.627_557, 440.0, 523.251_131];
/// How loud the partials of a note are; together below 1.
const PARTIALS: [f64; 3] = [0.5, 0.25, 0.125];
/// Full scale of a sample of 16 bits.
const FULL_SCALE: f64 = 32_767.0;

/// A melody of so many seconds as the body says (decimal): WAV, mono, 16 bits, 44.1 kHz.
///
/// # Errors
/// [`BadInput`] for anything else than a number from 1 to 60.
pub fn generate(body: &[u8]) -> Result<Vec<u8>, BadInput> {
    let samples = number("audio", body, 1..=SECONDS_MAX)? * RATE_HZ;
    let mut wav = header(samples * 2);
    for at in 0..samples {
        wav.extend(sample(at).to_le_bytes());
    }
    Ok(wav)
}

/// Of RIFF, as Microsoft and IBM published it.
fn header(data_bytes: u32) -> Vec<u8> {
    let mut wav = Vec::with_capacity((HEADER_BYTES + data_bytes) as usize);
    wav.extend(b"RIFF");
    wav.extend((HEADER_BYTES - 8 + data_bytes).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    // PCM, one channel.
    wav.extend([1, 0, 1, 0]);
    wav.extend(RATE_HZ.to_le_bytes());
    wav.extend((RATE_HZ * 2).to_le_bytes());
    // Two bytes of 16 bits.
    wav.extend([2, 0, 16, 0]);
    wav.extend(b"data");
    wav.extend(data_bytes.to_le_bytes());
    wav
}

fn sample(at: u32) -> i16 {
    let note = NOTES_HZ[(at / NOTE_SAMPLES) as usize % NOTES_HZ.len()];
    let phase = TAU * note * f64::from(at) / f64::from(RATE_HZ);
    let fade = 1.0 - f64::from(at % NOTE_SAMPLES) / f64::from(NOTE_SAMPLES);
    let partials = (1_u32..).zip(PARTIALS);
    let wave: f64 = partials.map(|(n, loud)| loud * libm::sin(phase * f64::from(n))).sum();
    #[expect(clippy::cast_possible_truncation, reason = "partials and fade stay within full scale")]
    {
        (wave * fade * FULL_SCALE) as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_that_of_a_wav_file() {
        let wav = generate(b"2").unwrap();
        assert_eq!(wav.len(), 44 + 2 * 2 * 44_100);
        assert_eq!(wav[..4], *b"RIFF");
        assert_eq!(wav[4..8], 176_436_u32.to_le_bytes());
        assert_eq!(wav[8..16], *b"WAVEfmt ");
        assert_eq!(wav[24..28], 44_100_u32.to_le_bytes());
        assert_eq!(wav[40..44], 176_400_u32.to_le_bytes());
        assert!(generate(b"0").is_err() && generate(b"61").is_err());
    }

    #[test]
    fn a_note_starts_in_silence_and_its_first_period_swings_both_ways() {
        // 220 Hz: a period is 200.45 samples.
        assert_eq!(sample(0), 0);
        let period: Vec<i16> = (0..200).map(sample).collect();
        let (low, high) = (period.iter().min().unwrap(), period.iter().max().unwrap());
        assert!(*low < -18_000 && 18_000 < *high, "{low} {high}");
        // By hand: 0.5 sin(x) + 0.25 sin(2x) + 0.125 sin(3x) at a quarter of the period.
        assert!((sample(50) - 12_380).abs() < 200, "{}", sample(50));
    }
}
