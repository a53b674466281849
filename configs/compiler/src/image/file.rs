//! Which file an image came from.

use sha2::{Digest, Sha256};

/// A file that a partition's memory is filled from, as the report names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageFile {
    /// `kernel`, `initrd` or `program`.
    pub role: &'static str,
    /// Its source as the system file names it.
    pub source: String,
    pub size: u64,
    /// See [`sha256`].
    pub sha256: String,
}

impl ImageFile {
    pub fn new(role: &'static str, source: &str, bytes: &[u8]) -> Self {
        Self {
            role,
            source: source.to_owned(),
            size: bytes.len() as u64,
            sha256: sha256(bytes),
        }
    }
}

/// SHA-256 (FIPS 180-4).
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The same in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_that_of_the_standard() {
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
