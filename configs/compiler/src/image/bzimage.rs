//! The header of an x86 Linux kernel (Linux, Documentation/arch/x86/boot.rst).

use std::rc::Rc;

use super::ImageError;

/// Where the setup header begins in the file, which is also its place in the boot parameters.
pub(crate) const HEADER: usize = 0x1f1;
/// "HdrS" at offset 0x202.
const MAGIC: &[u8; 4] = b"HdrS";
/// Protocol 2.14 (Linux 4.20): the first that is told where the ACPI tables are.
const OLDEST: u16 = 0x020e;

/// A kernel for PCs.
#[derive(Clone, Debug)]
pub(crate) struct PcKernel {
    /// What runs: the file behind its real-mode part.
    pub bytes: Rc<[u8]>,
    /// The setup header, from [`HEADER`] on.
    pub header: Rc<[u8]>,
    /// Space that it needs from its first byte while it unpacks itself.
    pub space: u64,
    /// Where it runs without moving itself.
    pub preferred: u64,
    /// Its place is a multiple of this.
    pub alignment: u64,
    /// Last address that an initrd may have.
    pub initrd_last: u64,
    /// Bytes that its command line may have at most.
    pub longest_command_line: u64,
}

/// True when the file says that it is a Linux kernel for x86.
pub(super) fn has_header(bytes: &[u8]) -> bool {
    bytes.get(0x202..0x206) == Some(MAGIC)
}

/// `None` when the file has no such header.
pub(super) fn read(bytes: &[u8]) -> Result<Option<PcKernel>, ImageError> {
    if !has_header(bytes) {
        return Ok(None);
    }
    let cut = ImageError::PcHeader("its header is cut off");
    let byte = |at: usize| bytes.get(at).copied().ok_or_else(|| cut.clone());
    let word = |at: usize| {
        let found = bytes.get(at..).and_then(|tail| tail.first_chunk());
        found
            .map(|bytes| u64::from(u32::from_le_bytes(*bytes)))
            .ok_or_else(|| cut.clone())
    };
    let version = u16::from_le_bytes([byte(0x206)?, byte(0x207)?]);
    if version < OLDEST {
        return Err(ImageError::PcHeader(
            "its boot protocol is older than 2.14 (Linux 4.20)",
        ));
    }
    // The jump at 0x200 leads over the header: its distance is the header's end.
    let end = 0x202 + usize::from(byte(0x201)?);
    let header = bytes.get(HEADER..end).ok_or_else(|| cut.clone())?;
    // Sectors of 512 bytes, the boot sector not counted; 0 stands for 4.
    let sectors = match byte(HEADER)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let behind = bytes.get((sectors + 1) * 512..).filter(|b| !b.is_empty());
    let kernel = behind.ok_or(ImageError::PcHeader("it ends before its 32-bit part"))?;
    let preferred = word(0x258)? | word(0x25c)? << 32;
    let (alignment, space) = (word(0x230)?, word(0x260)?);
    if !alignment.is_power_of_two() || byte(0x234)? == 0 {
        return Err(ImageError::PcHeader("it cannot be loaded anywhere"));
    }
    Ok(Some(PcKernel {
        bytes: kernel.into(),
        header: header.into(),
        space: space.max(kernel.len() as u64),
        preferred,
        alignment,
        initrd_last: word(0x22c)?,
        longest_command_line: word(0x238)?,
    }))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A kernel that says what Debian's says of itself, and has `length` bytes to run.
    pub(crate) fn sample(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; 5 * 512];
        bytes[0x1f1] = 4;
        bytes[0x200..0x202].copy_from_slice(&[0xeb, 0x6a]);
        bytes[0x202..0x206].copy_from_slice(MAGIC);
        bytes[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
        bytes[0x211] = 1;
        for (at, value) in [
            (0x22c, 0x7fff_ffff_u32),
            (0x230, 0x20_0000),
            (0x234, 1),
            (0x238, 2047),
            (0x258, 0x100_0000),
            (0x260, 0x40_0000),
        ] {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        bytes.resize(5 * 512 + length, 0x90);
        bytes
    }

    #[test]
    fn kernel_is_what_follows_the_real_mode_part() {
        let kernel = read(&sample(1000)).unwrap().unwrap();
        assert_eq!(kernel.bytes.len(), 1000);
        assert_eq!((kernel.space, kernel.preferred), (0x40_0000, 0x100_0000));
        assert_eq!(kernel.header.len(), 0x26c - 0x1f1);
    }

    #[test]
    fn old_protocol_cut_header_and_missing_kernel_are_refused() {
        let mut old = sample(10);
        old[0x206] = 0x0c;
        assert!(read(&old).is_err());
        assert!(read(&sample(10)[..0x240]).is_err());
        assert!(read(&sample(0)).is_err());
    }

    #[test]
    fn alignment_that_is_no_power_of_two_is_refused() {
        let mut odd = sample(10);
        odd[0x230] = 3;
        assert!(read(&odd).is_err());
    }

    #[test]
    fn other_file_is_none() {
        assert!(read(&[0; 1024]).unwrap().is_none());
        assert!(read(b"short").unwrap().is_none());
    }
}
