//! The checksum of a payload: CRC-64 by the polynomial of Jones, reflected, that starts and ends with zero.

const POLYNOMIAL: u64 = 0xad93_d235_94c9_35a9;

static TABLE: [u64; 256] = table();

const fn table() -> [u64; 256] {
    let polynomial = POLYNOMIAL.reverse_bits();
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            rest = if rest & 1 == 1 { (rest >> 1) ^ polynomial } else { rest >> 1 };
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
    }
    table
}

/// The checksum of some bytes.
pub fn of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_that_of_the_servers() {
        // The check value in crc64.c.
        assert_eq!(super::of(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }
}
