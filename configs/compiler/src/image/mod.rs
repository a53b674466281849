//! Guest images: what is in the file, before it is known where it goes.

mod arm64;
mod bzimage;
mod elf;
mod file;

#[cfg(test)]
pub(crate) use bzimage::tests::sample as pc_kernel_file;
pub(crate) use bzimage::{HEADER as PC_HEADER, PcKernel};
pub(crate) use file::{ImageFile, digest, sha256};

use std::rc::Rc;

use crate::codes::{self, Code};

/// A guest image, read and understood.
#[derive(Clone, Debug)]
pub(crate) enum Image {
    /// An arm64 Linux Image: goes to the start of memory, wherever that is.
    Kernel(Kernel),
    /// A Linux kernel for x86, which goes where it prefers to be.
    PcKernel(PcKernel),
    /// Pieces with fixed addresses: an ELF or raw file.
    Program(Program),
}

/// An arm64 Linux Image.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub bytes: Rc<[u8]>,
    /// Distance of the Image from a multiple of 2 MiB.
    pub text_offset: u64,
    /// Space that it needs from its first byte, its .bss included.
    pub space: u64,
}

/// Pieces with fixed addresses.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub pieces: Vec<Piece>,
    pub entry: u64,
}

/// Bytes for one address, with zeros behind them.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub address: u64,
    pub bytes: Rc<[u8]>,
    pub zeros: u64,
}

/// What a partition's CPUs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// 64-bit Arm.
    Arm64,
    /// A PC.
    X86,
}

impl Machine {
    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64",
            Self::X86 => "x86-64",
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a file is no image that can run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ImageError {
    #[error("the file is empty")]
    Empty,
    #[error("neither a Linux kernel nor an ELF file")]
    Unknown,
    #[error("it is compressed with {0}")]
    Compressed(&'static str),
    #[error("an ELF file is no Linux Image")]
    ElfAsKernel,
    #[error("this is {0}, which says itself where it goes and where it starts")]
    NotRaw(&'static str),
    #[error("the ELF file is for {found}")]
    Machine { found: String, wanted: Machine },
    #[error("the ELF file is broken: {0}")]
    Elf(String),
    #[error("the arm64 Image is broken: {0}")]
    Header(&'static str),
    #[error("the kernel for x86 cannot be booted: {0}")]
    PcHeader(&'static str),
    #[error("this is a Linux kernel for {found}")]
    KernelFor { found: Machine, wanted: Machine },
}

impl ImageError {
    pub fn code(&self) -> Code {
        match self {
            Self::Unknown | Self::Compressed(_) => codes::UNKNOWN_IMAGE,
            Self::ElfAsKernel => codes::KERNEL_FORMAT,
            Self::NotRaw(_) => codes::ENTRY_FOR_WHOLE_IMAGE,
            Self::Machine { .. } | Self::KernelFor { .. } => codes::WRONG_MACHINE,
            Self::Empty | Self::Elf(_) | Self::Header(_) | Self::PcHeader(_) => codes::BROKEN_IMAGE,
        }
    }

    /// What to do about the file that the system file calls `source`.
    pub fn help(&self, source: &str) -> String {
        let help = match self {
            Self::Empty | Self::Elf(_) | Self::Header(_) | Self::PcHeader(_) => {
                "build or fetch the file again"
            }
            Self::Unknown => "for a raw binary write `image = { file = \"…\", entry = \"0x…\" }`",
            Self::Compressed(_) => {
                "decompress it first: the guest's memory is filled with the file as it is"
            }
            Self::ElfAsKernel | Self::NotRaw(_) => return format!("write `image = \"{source}\"`"),
            Self::Machine { wanted, .. } => {
                return format!("build it for {}, little-endian, 64 bits", wanted.name());
            }
            Self::KernelFor { wanted, .. } => {
                return format!("take a kernel for {}", wanted.name());
            }
        };
        help.to_owned()
    }
}

/// First bytes of formats that people try.
const COMPRESSED: &[(&[u8], &str)] = &[
    (&[0x1f, 0x8b], "gzip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz"),
];

const ELF_MAGIC: &[u8] = b"\x7fELF";

/// What a file says it is. `None` when it says nothing, as raw bytes do.
fn format(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(ELF_MAGIC) {
        return Some("an ELF file");
    }
    if bzimage::has_header(bytes) {
        return Some("a Linux kernel for x86");
    }
    arm64::has_header(bytes).then_some("an arm64 Image")
}

/// Understands a file that says itself what it is.
pub(crate) fn recognise(bytes: &[u8], machine: Machine) -> Result<Image, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    if bytes.starts_with(ELF_MAGIC) {
        return elf::read(bytes, machine).map(Image::Program);
    }
    let found = if let Some(kernel) = bzimage::read(bytes)? {
        Some((Image::PcKernel(kernel), Machine::X86))
    } else {
        arm64::read(bytes)?.map(|kernel| (Image::Kernel(kernel), Machine::Arm64))
    };
    match found {
        Some((image, found)) if found == machine => return Ok(image),
        Some((_, found)) => {
            let wanted = machine;
            return Err(ImageError::KernelFor { found, wanted });
        }
        None => {}
    }
    match COMPRESSED
        .iter()
        .find(|(magic, _)| bytes.starts_with(magic))
    {
        Some((_, name)) => Err(ImageError::Compressed(name)),
        None => Err(ImageError::Unknown),
    }
}

/// Understands a file that has a `load` address but no `entry`: whatever it is, something is wrong.
pub(crate) fn load_without_entry(bytes: &[u8]) -> ImageError {
    format(bytes).map_or(ImageError::Unknown, ImageError::NotRaw)
}

/// Understands a Linux kernel.
pub(crate) fn kernel(bytes: &[u8], machine: Machine) -> Result<Image, ImageError> {
    match recognise(bytes, machine)? {
        Image::Program(_) => Err(ImageError::ElfAsKernel),
        kernel => Ok(kernel),
    }
}

/// Takes a file as it is: one piece at `load`. A file that says itself where it goes is refused, even a broken one.
pub(crate) fn raw(bytes: &[u8], load: u64, entry: u64) -> Result<Image, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    if let Some(format) = format(bytes) {
        return Err(ImageError::NotRaw(format));
    }
    let piece = Piece {
        address: load,
        bytes: bytes.into(),
        zeros: 0,
    };
    Ok(Image::Program(Program {
        pieces: vec![piece],
        entry,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_named_and_text_is_unknown() {
        assert_eq!(
            recognise(&[0x1f, 0x8b, 8, 0], Machine::Arm64).unwrap_err(),
            ImageError::Compressed("gzip")
        );
        assert_eq!(
            recognise(b"#!/bin/sh", Machine::Arm64).unwrap_err(),
            ImageError::Unknown
        );
        assert_eq!(
            recognise(b"", Machine::Arm64).unwrap_err(),
            ImageError::Empty
        );
    }

    #[test]
    fn broken_elf_file_is_refused_as_raw_bytes_too() {
        assert_eq!(
            raw(b"\x7fELF, cut off", 0, 0).unwrap_err(),
            ImageError::NotRaw("an ELF file")
        );
    }
}
