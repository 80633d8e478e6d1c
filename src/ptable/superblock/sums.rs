//! Checksums that superblocks have of themselves.

/// A CRC-32 that starts with `start`, and has no complement at either end: as Linux's `crc32_le`.
pub(super) fn crc32(start: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(!start);
    hasher.update(bytes);
    !hasher.finalize()
}

/// CRC-32C (RFC 3720 appendix B.4) that starts with `start`, and has no complement at either end: as Linux's `crc32c`.
pub(super) fn crc32c(start: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let (mut byte, mut value) = (0, 0);
        while byte < 256 {
            let mut rest = value;
            let mut bit = 0;
            while bit < 8 {
                rest = if rest & 1 == 0 { rest >> 1 } else { rest >> 1 ^ 0x82f6_3b78 };
                bit += 1;
            }
            table[byte] = rest;
            byte += 1;
            value += 1;
        }
        table
    };
    bytes.iter().fold(start, |crc, &byte| crc >> 8 ^ TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)])
}

/// CRC-64 of ECMA-182, highest bit first, with a complement at both ends: as bcache and bcachefs have it.
pub(super) fn crc64(bytes: &[u8]) -> u64 {
    const TABLE: [u64; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut rest = (byte as u64) << 56;
            let mut bit = 0;
            while bit < 8 {
                rest = if rest >> 63 == 0 { rest << 1 } else { rest << 1 ^ 0x42f0_e1eb_a9ea_3693 };
                bit += 1;
            }
            table[byte] = rest;
            byte += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc: u64, &byte| crc << 8 ^ TABLE[usize::from(crc.to_be_bytes()[0] ^ byte)])
}

/// XXH64 with seed 0: the xxHash specification 0.1.1.
pub(super) fn xxh64(bytes: &[u8]) -> u64 {
    const P1: u64 = 0x9e37_79b1_85eb_ca87;
    const P2: u64 = 0xc2b2_ae3d_27d4_eb4f;
    const P3: u64 = 0x1656_67b1_9e37_79f9;
    const P4: u64 = 0x85eb_ca77_c2b2_ae63;
    const P5: u64 = 0x27d4_eb2f_1656_67c5;
    let round = |lane: u64, word: u64| lane.wrapping_add(word.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1);
    let (stripes, tail) = bytes.as_chunks::<32>();
    let mut hash = if stripes.is_empty() {
        P5
    } else {
        let mut lanes = [P1.wrapping_add(P2), P2, 0, 0_u64.wrapping_sub(P1)];
        for stripe in stripes {
            for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
                *lane = round(*lane, u64::from_le_bytes(*word));
            }
        }
        let mixed =
            lanes.iter().zip([1, 7, 12, 18]).fold(0_u64, |sum, (lane, by)| sum.wrapping_add(lane.rotate_left(by)));
        lanes.iter().fold(mixed, |hash, lane| (hash ^ round(0, *lane)).wrapping_mul(P1).wrapping_add(P4))
    };
    hash = hash.wrapping_add(bytes.len() as u64);
    let (words, tail) = tail.as_chunks::<8>();
    for word in words {
        hash = (hash ^ round(0, u64::from_le_bytes(*word))).rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
    }
    let (halves, tail) = tail.as_chunks::<4>();
    for half in halves {
        let half = u64::from(u32::from_le_bytes(*half)).wrapping_mul(P1);
        hash = (hash ^ half).rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
    }
    for byte in tail {
        hash = (hash ^ u64::from(*byte).wrapping_mul(P5)).rotate_left(11).wrapping_mul(P1);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(P2);
    hash = (hash ^ hash >> 29).wrapping_mul(P3);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_their_specifications() {
        // The check values of the catalogue of CRCs, of "123456789".
        let digits = b"123456789";
        assert_eq!(!crc32(!0, digits), 0xcbf4_3926);
        assert_eq!(!crc32c(!0, digits), 0xe306_9283);
        assert_eq!(crc64(digits), 0x62ec_59e3_f1a4_f00a);
        // xxHash's own sanity values: its bytes come from a product of primes.
        let mut generator = 2_654_435_761_u64;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            let byte = generator.to_be_bytes()[0];
            generator = generator.wrapping_mul(11_400_714_785_074_694_797);
            byte
        })
        .take(222)
        .collect();
        assert_eq!(xxh64(&[]), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(&bytes[..1]), 0xe934_a84a_db05_2768);
        assert_eq!(xxh64(&bytes[..14]), 0x8282_dcc4_994e_35c8);
        assert_eq!(xxh64(&bytes), 0xb641_ae8c_b691_c174);
    }
}
