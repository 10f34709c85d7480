//! Digests, in hex.

use sha2::{Digest, Sha256};

/// The SHA-256 of some bytes, in lower-case hex.
///
/// ```
/// assert!(grantsim::types::digest::sha256_hex(b"").starts_with("e3b0c442"));
/// ```
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
