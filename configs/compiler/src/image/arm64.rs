//! The header of an arm64 Linux Image (Linux, Documentation/arch/arm64/booting.rst, section 4).

use super::{ImageError, Kernel};

const HEADER: usize = 64;
/// "ARM\x64" at offset 56.
const MAGIC: &[u8; 4] = b"ARM\x64";
/// What to assume when `image_size` is 0 (kernels before 3.17).
const OLD_TEXT_OFFSET: u64 = 0x8_0000;

/// True when the file says that it is an arm64 Image.
pub(super) fn has_header(bytes: &[u8]) -> bool {
    bytes.get(56..60) == Some(MAGIC)
}

/// `None` when the file has no such header.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Kernel>, ImageError> {
    if !has_header(bytes) {
        return Ok(None);
    }
    if bytes.len() < HEADER {
        return Err(ImageError::Header("its header is cut off"));
    }
    let field = |at: usize| {
        let bytes = bytes.get(at..).and_then(|tail| tail.first_chunk());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let (text_offset, image_size, flags) = (field(8), field(16), field(24));
    if flags & 1 != 0 {
        return Err(ImageError::Header("it is big-endian"));
    }
    let length = bytes.len() as u64;
    let (text_offset, space) = match image_size {
        0 => (OLD_TEXT_OFFSET, length),
        // The file may be longer than the space that the kernel claims, if something is appended.
        _ => (text_offset, image_size.max(length)),
    };
    if text_offset >= 2 << 20 {
        return Err(ImageError::Header("its text offset is 2 MiB or more"));
    }
    Ok(Some(Kernel {
        bytes: bytes.into(),
        text_offset,
        space,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text_offset: u64, image_size: u64, flags: u64) -> Vec<u8> {
        let mut bytes = vec![0; 128];
        bytes[8..16].copy_from_slice(&text_offset.to_le_bytes());
        bytes[16..24].copy_from_slice(&image_size.to_le_bytes());
        bytes[24..32].copy_from_slice(&flags.to_le_bytes());
        bytes[56..60].copy_from_slice(MAGIC);
        bytes
    }

    #[test]
    fn space_is_what_the_header_claims() {
        let kernel = read(&header(0, 0x10000, 0xa)).unwrap().unwrap();
        assert_eq!((kernel.text_offset, kernel.space), (0, 0x10000));
    }

    #[test]
    fn old_kernel_without_size_gets_the_old_offset() {
        let kernel = read(&header(7, 0, 0)).unwrap().unwrap();
        assert_eq!((kernel.text_offset, kernel.space), (0x80000, 128));
    }

    #[test]
    fn big_endian_absurd_offset_and_cut_header_are_refused() {
        assert!(read(&header(0, 1, 1)).is_err());
        assert!(read(&header(4 << 20, 1, 0)).is_err());
        assert!(read(&header(0, 1, 0)[..62]).is_err());
    }

    #[test]
    fn other_file_is_none() {
        assert!(read(&[0; 128]).unwrap().is_none());
        assert!(read(b"short").unwrap().is_none());
    }
}
