//! One number for all positions of an instant.

/// Offset basis of FNV-1a, 64 bits.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
/// Prime of FNV-1a, 64 bits.
const PRIME: u64 = 0x0000_0100_0000_01b3;
/// What stands for every coordinate that is not a number, whatever its bits.
const NOT_A_NUMBER: u64 = 0x7ff8_0000_0000_0000;

/// Hashes positions bit by bit: FNV-1a (Fowler, Noll, Vo) with each coordinate as one word of 64 bits in place of eight
/// bytes, and a rotation by 23 bits before each product so that no bit of a word can cancel the same one of the next.
///
/// Starts at the offset basis; for x, y, z of each satellite in order: `h = rotl(h ^ bits, 23) * prime`. Hexadecimal,
/// 16 digits.
pub fn positions_hash(positions_km: &[[f64; 3]]) -> String {
    let hash = positions_km.iter().flatten().fold(BASIS, |hash, coordinate| {
        let bits = if coordinate.is_nan() { NOT_A_NUMBER } else { coordinate.to_bits() };
        (hash ^ bits).rotate_left(23).wrapping_mul(PRIME)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_and_the_order_count() {
        let base = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let hash = positions_hash(&base);
        assert_eq!(hash, positions_hash(&base));
        for (satellite, axis) in [(0, 0), (0, 2), (1, 1), (1, 2)] {
            for bit in 0..64 {
                let mut other = base;
                let flipped = other[satellite][axis].to_bits() ^ (1 << bit);
                other[satellite][axis] = f64::from_bits(flipped);
                assert_ne!(positions_hash(&other), hash, "{satellite} {axis} {bit}");
            }
        }
        assert_ne!(positions_hash(&[base[1], base[0]]), hash);
        // Two signs at once.
        assert_ne!(positions_hash(&[[-1.0, -2.0, 3.0], base[1]]), hash);
    }

    #[test]
    fn a_satellite_that_is_down_has_one_hash_whatever_its_bits() {
        let other = f64::from_bits(f64::NAN.to_bits() ^ 1 ^ (1 << 63));
        assert_eq!(positions_hash(&[[f64::NAN; 3]]), positions_hash(&[[other; 3]]));
    }
}
