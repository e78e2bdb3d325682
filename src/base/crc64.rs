//! CRC-64 as OSS keeps it for every object: CRC-64/XZ (which the service calls ECMA), sent as an unsigned decimal.
//!
//! The checksum of a whole object comes together from those of its parts, in any order of arrival, by [`combine`]: that
//! is how ranged reads are verified, since the header of a ranged answer speaks of the whole object. Computing is left
//! to a crate (24 GB/s with AVX-512), but for one kind of processor (`fold`); combining is done here, because the crate
//! needs 280 µs for it, as long as the checksum of 6 MiB.

#[cfg(target_arch = "x86_64")]
mod fold;

use crc_fast::{CrcAlgorithm, Digest};

/// A checksum being computed over bytes that arrive piece by piece.
pub struct Crc64 {
    /// Of what came before the last long piece, and its length.
    folded: u64,
    /// Of what has come since.
    digest: Digest,
    digest_bytes: u64,
}

impl Crc64 {
    /// The checksum of no bytes, which is 0.
    pub fn new() -> Self {
        Crc64 { folded: 0, digest: Digest::new(CrcAlgorithm::Crc64Xz), digest_bytes: 0 }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let rest = match long(bytes) {
            Some((checksum, rest)) => {
                self.folded = combine(self.finish(), checksum, (bytes.len() - rest.len()) as u64);
                self.digest.reset();
                self.digest_bytes = 0;
                rest
            }
            None => bytes,
        };
        self.digest.update(rest);
        self.digest_bytes += rest.len() as u64;
    }

    /// The checksum of all bytes so far.
    pub fn finish(&self) -> u64 {
        combine(self.folded, self.digest.finalize(), self.digest_bytes)
    }
}

/// Shorter pieces are not worth the combining.
#[cfg(any(test, target_arch = "x86_64"))]
const LONG_BYTES: usize = 16 << 10;

/// The checksum of nearly all of a long piece, and the rest of it, where that can be had faster than from the crate.
#[cfg(target_arch = "x86_64")]
fn long(bytes: &[u8]) -> Option<(u64, &[u8])> {
    if bytes.len() < LONG_BYTES {
        return None;
    }
    let (folded, rest) = bytes.split_at(bytes.len() / fold::STRIDE * fold::STRIDE);
    let last = fold::fold(folded)?;
    Some((crc_fast::checksum(CrcAlgorithm::Crc64Xz, &last), rest))
}

#[cfg(not(target_arch = "x86_64"))]
fn long(_: &[u8]) -> Option<(u64, &[u8])> {
    None
}

impl Default for Crc64 {
    fn default() -> Self {
        Crc64::new()
    }
}

impl std::fmt::Debug for Crc64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Crc64({:016x})", self.finish())
    }
}

/// The checksum of these bytes.
pub fn crc64(bytes: &[u8]) -> u64 {
    let mut crc = Crc64::new();
    crc.update(bytes);
    crc.finish()
}

/// The checksum of A followed by B, from that of A, that of B and the length of B in bytes.
///
/// It costs one multiplication per set bit of the length: about 0.1 µs for lengths that are powers of two.
pub fn combine(a: u64, b: u64, len_b: u64) -> u64 {
    // Appending n bytes multiplies the checksum before them by x^(8n). Start value and final inversion cancel out,
    // because they are the same.
    let shifted = (0..64).filter(|bit| len_b >> bit & 1 == 1).fold(a, |a, bit| times(a, POWERS[bit]));
    shifted ^ b
}

/// The polynomial, reflected: the highest bit stands for x^0.
const POLYNOMIAL: u64 = 0xc96c_5795_d787_0f42;

/// x^(8·2^n) for every n.
const POWERS: [u64; 64] = powers();

const fn powers() -> [u64; 64] {
    let mut powers = [1 << (63 - 8); 64];
    let mut n = 1;
    while n < 64 {
        powers[n] = times(powers[n - 1], powers[n - 1]);
        n += 1;
    }
    powers
}

/// The product of two polynomials modulo [`POLYNOMIAL`], all reflected.
const fn times(mut a: u64, mut b: u64) -> u64 {
    let mut product = 0;
    while b != 0 {
        // Masks instead of branches: the bits are as good as random.
        product ^= a & 0u64.wrapping_sub(b >> 63);
        b <<= 1;
        a = (a >> 1) ^ (POLYNOMIAL & 0u64.wrapping_sub(a & 1));
    }
    product
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn input(name: &str) -> Vec<u8> {
        match name {
            "empty" => Vec::new(),
            "32 zero bytes" => vec![0; 32],
            "32 0xff bytes" => vec![0xff; 32],
            "bytes 0..255" => (0..=255).collect(),
            "1 MiB of zero bytes" => vec![0; 1 << 20],
            text => text.as_bytes().to_vec(),
        }
    }

    fn number(value: &Value) -> u64 {
        value.as_str().unwrap().parse().unwrap()
    }

    #[test]
    fn the_published_vectors_hold() {
        let file: Value = serde_json::from_str(include_str!("../../tests/data/signing-vectors.json")).unwrap();
        let values = file["crc64"]["values"].as_array().unwrap();
        assert_eq!(values.len(), 10);
        for vector in values {
            let bytes = input(vector["input"].as_str().unwrap());
            assert_eq!(bytes.len() as u64, vector["length"].as_u64().unwrap(), "{vector}");
            assert_eq!(crc64(&bytes), number(&vector["decimal"]), "{vector}");
        }
        let [pair, folded] = file["crc64"]["combine"].as_array().unwrap().as_slice() else { panic!("two are known") };
        let len_b = pair["len_b"].as_u64().unwrap();
        assert_eq!(combine(number(&pair["crc_a"]), number(&pair["crc_b"]), len_b), number(&pair["crc_ab"]));
        let (part, len) = (number(&folded["crc_b"]), folded["len_b"].as_u64().unwrap());
        let total =
            (0..folded["repeat"].as_u64().unwrap()).fold(number(&folded["crc_a"]), |a, _| combine(a, part, len));
        assert_eq!(total, number(&folded["crc_total"]));
    }

    #[test]
    fn long_pieces_have_the_checksum_that_the_crate_finds() {
        let mut word = 1u64;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (word >> 56) as u8
        })
        .take(200_000)
        .collect();
        for (start, len) in [(0, LONG_BYTES), (1, LONG_BYTES + 1), (7, 100_000), (3, 64 << 10), (128, LONG_BYTES - 1)] {
            let piece = &bytes[start..start + len];
            let expected = crc_fast::checksum(CrcAlgorithm::Crc64Xz, piece);
            assert_eq!(crc64(piece), expected, "{len} bytes from {start}");
            let mut running = Crc64::new();
            running.update(&bytes[..start]);
            running.update(piece);
            assert_eq!(running.finish(), crc_fast::checksum(CrcAlgorithm::Crc64Xz, &bytes[..start + len]));
        }
    }

    proptest! {
        #[test]
        fn parts_combine_to_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..5000),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let mut running = Crc64::new();
            let mut combined = 0;
            for part in parts {
                running.update(part);
                combined = combine(combined, crc64(part), part.len() as u64);
            }
            prop_assert_eq!(running.finish(), crc64(&bytes));
            prop_assert_eq!(combined, crc64(&bytes));
        }

        #[test]
        fn combining_agrees_with_the_crate(a: u64, b: u64, len_b: u64) {
            prop_assert_eq!(combine(a, b, len_b), crc_fast::checksum_combine(CrcAlgorithm::Crc64Xz, a, b, len_b));
        }
    }
}
