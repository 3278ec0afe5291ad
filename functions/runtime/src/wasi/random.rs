//! Randomness of one call: a stream of BLAKE3 from a seed. The host may give the seed; without one it follows from function
//! and call, so that a run repeats exactly.

use super::bindings::wasi::random::{insecure, insecure_seed, random};
use crate::cache::ModuleHash;
use crate::context::Context;

/// What the seed is used for.
const PURPOSE: &str = "starbelt 2026-11 randomness of one call";
/// Most bytes of one question: a key or a nonce takes less than 100, and a table of them fits.
const BYTES_MAX: u64 = 64 * 1024;

/// What identifies a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed {
    /// The function.
    pub(crate) module: ModuleHash,
    /// The call.
    pub(crate) id: u64,
    /// Which try it is.
    pub(crate) attempt: u32,
}

/// A generator.
pub(crate) struct Random(blake3::OutputReader);

impl Random {
    /// Starts the stream of a seed; with `entropy` it is of that, and of the call.
    fn new(seed: &Seed, entropy: Option<[u8; 32]>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(PURPOSE);
        hasher.update(&seed.module);
        hasher.update(&seed.id.to_le_bytes());
        hasher.update(&seed.attempt.to_le_bytes());
        hasher.update(entropy.as_ref().map_or(&[], |bytes| bytes.as_slice()));
        Self(hasher.finalize_xof())
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}

impl Context {
    fn random(&mut self) -> &mut Random {
        if self.wasi.used().random.is_none() {
            let entropy = self.host().entropy();
            let random = Random::new(&self.wasi.seed, entropy);
            self.wasi.used().random = Some(random);
        }
        self.wasi.used().random.as_mut().expect("it was just made")
    }

    fn random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        if BYTES_MAX < len {
            let text =
                format!("it asks for {len} random bytes at once, at most {BYTES_MAX} are given");
            return Err(wasmtime::Error::msg(text));
        }
        let mut bytes = vec![0; usize::try_from(len)?];
        self.random().fill(&mut bytes);
        Ok(bytes)
    }

    fn random_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.random().fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

impl random::Host for Context {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.random_u64())
    }
}

impl insecure::Host for Context {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.random_u64())
    }
}

impl insecure_seed::Host for Context {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.random_u64(), self.random_u64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: Seed, entropy: Option<[u8; 32]>) -> [u8; 16] {
        let mut bytes = [0; 16];
        Random::new(&seed, entropy).fill(&mut bytes);
        bytes
    }

    #[test]
    fn a_call_repeats_and_no_other_is_like_it() {
        let seed = Seed { module: [7; 32], id: 3, attempt: 1 };
        let others = [
            (Seed { module: [8; 32], ..seed }, None),
            (Seed { id: 4, ..seed }, None),
            (Seed { attempt: 2, ..seed }, None),
            (seed, Some([0; 32])),
            (seed, Some([1; 32])),
        ];
        assert_eq!(first(seed, None), first(seed, None));
        for (index, (other, entropy)) in others.into_iter().enumerate() {
            assert_ne!(first(seed, None), first(other, entropy), "{index}");
        }
    }

    #[test]
    fn the_stream_does_not_depend_on_how_it_is_read() {
        let seed = Seed { module: [7; 32], id: 3, attempt: 1 };
        let mut random = Random::new(&seed, None);
        let (mut head, mut tail) = ([0; 5], [0; 11]);
        random.fill(&mut head);
        random.fill(&mut tail);
        assert_eq!([&head[..], &tail[..]].concat(), first(seed, None));
    }
}
